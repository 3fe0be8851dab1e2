"""`manage.py users`: what an administrator does, by the operator, through the services and in the system's name."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from msgspec import msgpack

from accounts.models import Session, Throttle, User
from accounts.models.session import Client
from accounts.names import parse_email, parse_username
from accounts.services.credentials import InvalidCredentials
from accounts.services.registration import NewUser, create_superuser, register
from accounts.services.sign_in import sign_in
from events.models import OutboxRecord

PASSWORD = "CANARY-pw-4711"
NOBODY = Client(device="", ip=None)


@pytest.fixture
def ann(db: None) -> User:
    """Registered, in a session."""
    new = NewUser(username=parse_username("Ann"), email=parse_email("ann.lee@example.com"), display_name="Änn")
    return register(new=new, password=PASSWORD, client=NOBODY, now=timezone.now()).session.user


@pytest.fixture
def root(db: None) -> User:
    """The one superuser."""
    new = NewUser(username=parse_username("Root"), email=parse_email("root@example.com"))
    return create_superuser(new=new, password=PASSWORD, now=timezone.now())


def users(*words: str) -> str:
    out = StringIO()
    call_command("users", *words, stdout=out)
    return out.getvalue()


def refused(*words: str) -> str:
    with pytest.raises(CommandError) as error:
        users(*words)
    assert error.value.returncode == 1
    return str(error.value)


def told(event_type: str) -> list[tuple[Any, bytes]]:
    """The data of each event of this type, and who is told as the actor."""
    records = OutboxRecord.objects.filter(type=event_type).order_by("id")
    return [(json.loads(bytes(one.value)), dict(msgpack.decode(one.headers))["ce_authtype"]) for one in records]


def test_a_user_is_shown_without_secrets(ann: User) -> None:
    with pytest.raises(InvalidCredentials):
        sign_in(identifier="ann", password="CANARY-pw-wrong", client=NOBODY, now=timezone.now())

    shown = users("show", "ANN")

    known = json.loads(shown)
    expected = {
        "id": str(ann.pk), "username": "Ann", "email": "ann.lee@example.com", "display_name": "Änn",
        "status": "active", "status_reason": "", "groups": [], "is_superuser": False, "version": 1,
        "last_login_at": None, "failed_logins": 1, "open_sessions": 1,
    }  # fmt: skip
    assert {name: known[name] for name in expected} == expected
    assert "argon2" not in shown
    assert "password" not in known


def test_a_suspension_ends_all_access_until_the_user_is_reactivated(ann: User) -> None:
    assert users("suspend", "ann.lee@example.com", "--reason", "As asked") == (
        "Ann is suspended; all sessions have ended.\n"
    )
    assert not Session.objects.alive(now=timezone.now()).exists()
    assert users("reactivate", str(ann.pk)) == "Ann is active again.\n"

    moves = [(data["from"], data["to"], data["reason"], by) for data, by in told("user.status_changed")]
    assert moves == [
        ("active", "suspended", "As asked", b"system"),
        ("suspended", "active", "by the operator of the service", b"system"),
    ]


def test_a_suspension_may_have_an_end(ann: User) -> None:
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)

    assert users("suspend", "ann", "--until", ahead.isoformat()) == (
        f"Ann is suspended until {ahead:%Y-%m-%d %H:%M:%S} UTC; all sessions have ended.\n"
    )

    ann.refresh_from_db()
    assert ann.status_until == ahead


def test_a_deletion_can_be_taken_back_during_the_grace(ann: User) -> None:
    users("suspend", "ann")
    assert users("delete", "ann").startswith("Ann will be deleted at 2")
    assert users("restore", "ann") == "Ann is suspended again.\n"

    ann.refresh_from_db()
    assert (ann.status, ann.delete_after) == ("suspended", None)


def test_an_immediate_deletion_is_the_end(ann: User) -> None:
    assert users("delete", "ann", "--immediately") == "Ann is deleted; the consumer erases what is kept of them.\n"

    assert [by for _, by in told("user.deleted")] == [b"system"]
    for action in ("suspend", "reactivate", "delete", "restore", "unlock"):
        assert refused(action, "ann") == "ann: the account is deleted."
    assert json.loads(users("show", "ann"))["status"] == "deleted"


def test_an_unlocked_user_may_try_again(ann: User) -> None:
    with pytest.raises(InvalidCredentials):
        sign_in(identifier="ann", password="CANARY-pw-wrong", client=NOBODY, now=timezone.now())
    assert Throttle.objects.filter(key__startswith="login-failures/").exists()

    assert users("unlock", "ann") == "Ann may try to sign in again.\n"

    assert not Throttle.objects.filter(key__startswith="login-failures/").exists()


def test_who_or_what_is_wrong_is_told_and_what_is_allowed(ann: User) -> None:
    assert refused("show", "nobody") == "nobody: no user has this username, e-mail address or id."
    assert refused("reactivate", "ann") == "ann: the status is active; reactivate is for who is suspended."
    assert refused("restore", "ann") == "ann: the status is active; restore is for who is pending_deletion."
    assert refused("suspend", "ann", "--until", "tomorrow") == "--until: A time such as 2026-11-28T09:00:00Z."
    assert refused("suspend", "ann", "--until", "2020-01-01T00:00:00Z") == "--until: A time that lies ahead."
    assert refused("suspend", "ann", "--reason", " ") == "--reason: This field may not be blank."
    users("suspend", "ann")
    assert refused("suspend", "ann") == "ann: the status is suspended; suspend is for who is active."
    users("delete", "ann")
    assert refused("delete", "ann") == "ann: the status is pending_deletion; delete is for who is active or suspended."


@pytest.mark.parametrize("how", [["suspend"], ["delete"], ["delete", "--immediately"]])
def test_the_last_superuser_stays(root: User, how: list[str]) -> None:
    action, *options = how

    assert refused(action, "root", *options) == "root: the last active superuser stays; make another one first."

    root.refresh_from_db()
    assert (root.status, root.version) == ("active", 1)
