"""`manage.py changepassword NAME`: by the rules, through the service, or not at all."""

import getpass
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Session, User
from accounts.models.session import Client
from accounts.names import parse_email, parse_username
from accounts.services.registration import NewUser, register
from events.models import OutboxRecord

PASSWORD = "long enough"


@pytest.fixture
def ann(db: None, monkeypatch: pytest.MonkeyPatch) -> User:
    """Registered, in a session."""
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "another one 4712")
    new = NewUser(username=parse_username("Ann"), email=parse_email("ann.lee@example.com"))
    return register(new=new, password=PASSWORD, client=Client(device="", ip=None), now=timezone.now()).session.user


def change(*options: str) -> str:
    out = StringIO()
    call_command("changepassword", *options, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("name", ["ANN", "ann.lee@Example.com", "id"])
def test_it_is_set_and_published_and_all_sessions_end(ann: User, name: str) -> None:
    told = change(str(ann.pk) if name == "id" else name, "--noinput")

    assert told == "Ann has the new password; all sessions have ended.\n"
    ann.refresh_from_db()
    assert (ann.check_password("another one 4712"), ann.version) == (True, 2)
    assert not Session.objects.alive(now=timezone.now()).exists()
    event = OutboxRecord.objects.get(type="user.password_changed")
    assert (event.key, b'"how":"operator"' in event.value) == (str(ann.pk), True)


def test_it_is_asked_for_twice(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getpass", lambda _: "typed in twice")

    change("ann")

    ann.refresh_from_db()
    assert ann.check_password("typed in twice")


@pytest.mark.parametrize(
    ("stops", "told"),
    [
        (EOFError, "password: nothing comes from a keyboard; with --noinput, give DJANGO_SUPERUSER_PASSWORD."),
        (KeyboardInterrupt, "password: stopped; nothing was done."),
    ],
)
@pytest.mark.parametrize("typed", [[], ["typed in once"]])
def test_who_stops_typing_is_told_what_to_do(
    ann: User, monkeypatch: pytest.MonkeyPatch, typed: list[str], stops: type[BaseException], told: str
) -> None:
    answers = iter(typed)

    def stopped(_prompt: str) -> str:
        for answer in answers:
            return answer
        raise stops

    monkeypatch.setattr(getpass, "getpass", stopped)

    with pytest.raises(CommandError) as refused:
        change("ann")

    assert str(refused.value) == told
    ann.refresh_from_db()
    assert (ann.check_password(PASSWORD), ann.version) == (True, 1)


@pytest.mark.parametrize(
    ("name", "password", "told"),
    [
        ("nobody", PASSWORD, "nobody: no user has this username, e-mail address or id."),
        ("ann", "", "password: with --noinput, give DJANGO_SUPERUSER_PASSWORD."),
        ("ann", "short", "password: At least 8 characters."),
        ("ann", "I am ann.LEE", "password: Without your username, your e-mail address or this service's name."),
    ],
)
def test_what_is_wrong_is_told(ann: User, monkeypatch: pytest.MonkeyPatch, name: str, password: str, told: str) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", password)

    with pytest.raises(CommandError) as refused:
        change(name, "--noinput")

    assert str(refused.value) == told
    ann.refresh_from_db()
    assert (ann.check_password(PASSWORD), ann.version) == (True, 1)


def test_an_unknown_id_is_nobody_though_a_name_reads_like_it(ann: User) -> None:
    looks_like = str(uuid4())
    new = NewUser(username=parse_username(looks_like), email=parse_email("twin@example.com"))
    register(new=new, password=PASSWORD, client=Client(device="", ip=None), now=timezone.now())

    with pytest.raises(CommandError, match="no user has"):
        change(looks_like, "--noinput")
