"""`manage.py createsuperuser` says what is wrong, field by field, and makes nobody then."""

import getpass
import os
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from tests.integration.relaying import CHECKOUT, database_url

PASSWORD = "long enough"


@pytest.fixture(autouse=True)
def environment(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "EMAIL"):
        monkeypatch.delenv(f"DJANGO_SUPERUSER_{name}", raising=False)
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)


def create(*options: str) -> str:
    out = StringIO()
    call_command("createsuperuser", *options, stdout=out)
    return out.getvalue()


def named(username: str, email: str) -> list[str]:
    return ["--noinput", "--username", username, "--email", email]


@pytest.mark.parametrize(
    ("options", "password", "told"),
    [
        (["--noinput"], PASSWORD, "username: with --noinput, give --username or DJANGO_SUPERUSER_USERNAME."),
        (named("new", "")[:3], PASSWORD, "email: with --noinput, give --email or DJANGO_SUPERUSER_EMAIL."),
        (named("new", "new@example.com"), "", "password: with --noinput, give DJANGO_SUPERUSER_PASSWORD."),
        (named("new", "new@example.com"), "short", "password: At least 8 characters."),
        (named("new", "new@example.com"), "x" * 257, "password: At most 256 characters."),
        (
            named("newcomer", "new@example.com"),
            "a NEWCOMER here",
            "password: Without your username, your e-mail address or this service's name.",
        ),
        (named("\u0430nn", "new@example.com"), PASSWORD, "username: Letters of one script only."),
        (named("new", "new"), PASSWORD, "email: Enter a valid e-mail address."),
        (named("ADMIN", "new@example.com"), PASSWORD, "username: another user has it."),
        (named("new", "ROOT@example.com"), PASSWORD, "email: another user has it."),
    ],
)
def test_what_is_wrong_is_told(monkeypatch: pytest.MonkeyPatch, options: list[str], password: str, told: str) -> None:
    create(*named("Admin", "root@example.com"))
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", password)

    with pytest.raises(CommandError) as refused:
        create(*options)

    assert str(refused.value) == told
    assert User.objects.count() == 1


def test_what_was_not_given_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter(["Admin", "root@example.com"])
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    monkeypatch.setattr(getpass, "getpass", lambda _: "typed in twice")

    assert create() == "Superuser Admin was created.\n"
    assert User.objects.get().check_password("typed in twice")


def test_two_unlike_passwords_make_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter(["first try", "second try"])
    monkeypatch.setattr(getpass, "getpass", lambda _: next(typed))

    with pytest.raises(CommandError, match="password: the two are not the same"):
        create("--username", "Admin", "--email", "root@example.com")

    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("stops", "told"),
    [
        (EOFError, "{}: nothing comes from a keyboard; with --noinput, give {}."),
        (KeyboardInterrupt, "{}: stopped; nothing was done."),
    ],
)
@pytest.mark.parametrize(
    ("options", "name", "how"),
    [
        ([], "username", "--username or DJANGO_SUPERUSER_USERNAME"),
        (["--username", "Admin"], "email", "--email or DJANGO_SUPERUSER_EMAIL"),
        (named("Admin", "root@example.com")[1:], "password", "DJANGO_SUPERUSER_PASSWORD"),
    ],
)
def test_who_types_nothing_is_told_what_to_do(  # noqa: PLR0913, PLR0917 - a table
    monkeypatch: pytest.MonkeyPatch, options: list[str], name: str, how: str, stops: type[BaseException], told: str
) -> None:
    def stopped(_prompt: str) -> str:
        raise stops

    monkeypatch.setattr("builtins.input", stopped)
    monkeypatch.setattr(getpass, "getpass", stopped)

    with pytest.raises(CommandError) as refused:
        create(*options)

    assert str(refused.value) == told.format(name, how)
    assert not User.objects.exists()


def started(command: str, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A process of its own that no keyboard reaches."""
    return subprocess.run(
        [sys.executable, "manage.py", command, *options],
        cwd=CHECKOUT, env=os.environ | environ, stdin=subprocess.DEVNULL, start_new_session=True,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_without_a_keyboard_it_ends_in_one_line() -> None:
    ended = started("createsuperuser", DATABASE_URL=database_url())

    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("CommandError: username: nothing comes from a keyboard; with --noinput, give --username or ")


@pytest.mark.parametrize(
    "options", [["createsuperuser", "--noinput"], ["changepassword", "ann"], ["users", "show", "a"]]
)
def test_a_database_that_is_away_is_one_line(options: list[str]) -> None:
    ended = started(*options, DATABASE_URL="postgres://nobody:CANARY@127.0.0.1:1/nothing")

    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("CommandError: PostgreSQL: connection failed: ")
    assert "CANARY" not in line
