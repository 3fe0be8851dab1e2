"""Each kind of mail as it arrives: its text and HTML say the same, to one reader; only links of ours lead on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts import links
from accounts.event_types import UserPasswordChanged, UserSecurityAlert
from accounts.models import OutsideCall, User, UserSettings
from accounts.models.session import Client
from accounts.names import EmailAddress
from accounts.outside import attempts, notices
from accounts.outside.mail import NOTICES
from events.testing import deliver
from tests.integration.mailing import (
    Mailbox,
    Shown,
    change_behind_the_doors,
    html_of,
    registered_user,
    reread,
    text_of,
)

pytestmark = pytest.mark.django_db

HOME = "http://localhost:8080"
ANN, OTHER = "ann@example.com", "other@example.com"
HEAD = {
    "X-Envelope-From", "X-Envelope-To", "Content-Type", "MIME-Version", "Subject", "From", "To", "Date", "Message-ID",
    "Auto-Submitted",
}  # fmt: skip
# What a program that takes it for HTML, or for a link, would show otherwise.
HOSTILE = '</p><a href="https://evil.example">x</a>&lt;{{7*7}}'
QUOTED = '"</\u200bp><a href="https:\u200b/\u200b/\u200bevil.\u200bexample">x</\u200ba>&lt;{{7*7}}"'
BEFORE_LONG = datetime(2026, 12, 24, 9, tzinfo=UTC)
LEAVING = {"status": "pending_deletion", "former_status": "active", "delete_after": datetime(2099, 1, 1, tzinfo=UTC)}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a mail of this kind is asked for with, and what has to come of it."""

    subject: str
    says: str
    facts: Mapping[str, str] = field(default_factory=dict)
    # What is another in the user's row.
    user: Mapping[str, Any] = field(default_factory=dict)
    # Where the call names an address; to that alone, or to a user as well.
    email: str = ""
    has_user: bool = True
    # Where the link leads, and what it is good for.
    page: str = ""
    purpose: str = ""


KINDS = {
    "welcome": Kind(
        subject="Welcome to usercenter", says="was created on 2026-11-24", facts={"registered_on": "2026-11-24"},
        page="verify-email", purpose="verify",
    ),
    "invited": Kind(
        subject="Your account at usercenter", says="Please set a password for it", user={"password": "!"},
        page="reset-password", purpose="invite",
    ),
    "verify": Kind(
        subject="Is this your e-mail address?", says="good for 24 hours", page="verify-email", purpose="verify",
        email=ANN, has_user=False,
    ),
    "reset": Kind(
        subject="Set a new password", says="good for 30 minutes", page="reset-password", purpose="reset",
    ),
    "password_changed": Kind(
        subject="Your password was changed", says="was changed on some day.",
        facts={"what": "changed", "at": "some day", "sessions": "All have ended."},
    ),
    "security_alert": Kind(
        subject="Please look at your account", says="Something was odd. This was noticed on some day",
        facts={"what": "Something was odd.", "at": "some day"},
    ),
    "already_registered": Kind(
        subject="You have an account already", says="somebody tried to sign up with this address", email=ANN,
        has_user=False,
    ),
    "username_taken": Kind(
        subject="This username is taken", says="by a username that another has", email=OTHER, has_user=False
    ),
    "change_email": Kind(
        subject="Is this your new e-mail address?", says="good for 24 hours", email=OTHER, page="confirm-email",
        purpose="change_email",
    ),
    "email_change_asked": Kind(
        subject="Your e-mail address is about to change", says="on some day, somebody who was signed in asked",
        facts={"at": "some day"},
    ),
    "email_changed": Kind(
        subject="Your e-mail address was changed", says="since some day your account", email=OTHER,
        facts={"at": "some day"}, page="undo-email", purpose="undo_email",
    ),
    "suspended": Kind(
        subject="Your account was suspended", says="was suspended until some day;", user={"status": "suspended"},
        facts={"reason": HOSTILE, "until": "some day"},
    ),
    "reactivated": Kind(
        subject="Your account is active again", says="You can sign in again at", facts={"reason": HOSTILE, "until": ""},
    ),
    "pending_deletion": Kind(
        subject="Your account is going to be deleted", says="is going to be deleted on some day;", user=LEAVING,
        facts={"reason": HOSTILE, "until": "some day"}, page="restore-account", purpose="restore",
    ),
    "restored": Kind(
        subject="Your account was restored", says="is not going to be deleted any more",
        facts={"reason": HOSTILE, "until": ""},
    ),
    "deleted": Kind(
        subject="Your account was deleted", says="was deleted on 2026-11-24", facts={"deleted_on": "2026-11-24"},
        email=OTHER, has_user=False,
    ),
}  # fmt: skip
OF_USERS = [name for name, kind in KINDS.items() if kind.has_user]
OPTIONAL = {"reactivated", "restored"}


def hostile_user(name: str) -> User:
    """Ann, who calls herself by markup, in the state in which this kind is mailed."""
    user = registered_user(HOSTILE, email=ANN)
    change_behind_the_doors(user, display_name=HOSTILE, **KINDS[name].user)
    return user


def owed(name: str, user: User, **facts: str) -> OutsideCall:
    """A mail of this kind to this user."""
    kind, email = KINDS[name], KINDS[name].email
    with transaction.atomic():
        call_id = notices.request(
            kind=name, key=str(uuid7()), facts={**kind.facts, **facts}, email=email,
            user_id=user.pk if kind.has_user else None,
        )  # fmt: skip
        assert call_id
        if kind.purpose == "undo_email":
            links.hold(EmailAddress(email, email), user, call_id=call_id, now=timezone.now())
    return OutsideCall.objects.get(pk=call_id)


def only_mail(mailbox: Mailbox) -> EmailMessage:
    attempts.sweep()
    [mail] = mailbox.mails()
    return mail


def addresses_in(text: str) -> list[str]:
    """Whatever a mail program would make a link of; a full stop or comma behind it is none of it."""
    found = re.findall(r"""[^\s"']*\w(?:://|[.@:/])\w[^\s"']*""", text)
    return [address.rstrip(".,;:") for address in found]


# each kind ---------------------------------------------------------------------------------------------------


def test_every_kind_is_looked_at_here() -> None:
    assert set(KINDS) == set(NOTICES)


@pytest.mark.parametrize("name", KINDS)
def test_a_mail_has_one_reader_and_a_head_of_ours_alone(mailbox: Mailbox, name: str) -> None:
    owed(name, hostile_user(name))

    mail = only_mail(mailbox)

    assert set(mail.keys()) == HEAD
    assert mail["To"] == mail["X-Envelope-To"] == (KINDS[name].email or ANN)
    assert (mail["Subject"], mail["From"]) == (KINDS[name].subject, "usercenter@localhost")
    assert "evil" not in str(mail.items())
    assert "evil.example" not in mailbox.files()[0].read_text()


@pytest.mark.parametrize("name", KINDS)
def test_text_and_html_say_the_same(mailbox: Mailbox, name: str) -> None:
    owed(name, hostile_user(name))

    mail = only_mail(mailbox)

    assert KINDS[name].says in text_of(mail)
    assert Shown(html_of(mail)).words == [*KINDS[name].subject.split(), *text_of(mail).split()]


@pytest.mark.parametrize("name", KINDS)
def test_only_links_of_ours_lead_on_and_they_do(mailbox: Mailbox, name: str) -> None:
    user, kind = hostile_user(name), KINDS[name]
    owed(name, user)

    mail = only_mail(mailbox)

    tokens = re.findall(r"#token=([\w-]+)", text_of(mail))
    assert len(tokens) == bool(kind.page)
    ours = {HOME} | {f"{HOME}/{kind.page}#token={token}" for token in tokens}
    assert set(addresses_in(text_of(mail))) == ours
    shown = Shown(html_of(mail))
    assert set(shown.leads_to) == ours
    assert shown.tags == {"html", "head", "meta", "title", "body", "p", "a"}
    for token in tokens:
        assert links.find(token, kind.purpose, now=timezone.now()).user_id == user.pk


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ("username_taken", "deleted")])
def test_what_others_wrote_is_quoted_and_nothing_more(mailbox: Mailbox, name: str) -> None:
    owed(name, hostile_user(name))

    mail = only_mail(mailbox)

    written = 1 + ("reason" in KINDS[name].facts)
    assert text_of(mail).count(QUOTED) == written
    assert html_of(mail).count("&quot;&lt;/\u200bp&gt;&lt;a href=&quot;https:\u200b/\u200b/") == written
    assert html_of(mail).count("&amp;lt;{{7*7}}&quot;") == written


@pytest.mark.parametrize("kind", ["unusual_login", "login_blocked", "refresh_token_reused"])
def test_what_a_client_calls_itself_is_in_no_warning(mailbox: Mailbox, kind: Any) -> None:
    user, client = registered_user(), Client(device=HOSTILE, ip="203.0.113.7")
    deliver(UserSecurityAlert.of(user, kind=kind, at=BEFORE_LONG, client=client))
    deliver(UserPasswordChanged(
        user_id=user.pk, version=2, how="change", at=BEFORE_LONG, device=client.device, ip=client.ip
    ))  # fmt: skip

    attempts.sweep()

    assert len(mailbox.mails()) == 2
    for file in mailbox.files():
        assert "evil" not in file.read_text()
        assert "203.0.113.7" not in file.read_text()


# who gets it, and who does not -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_USERS)
def test_who_wants_no_mail_gets_what_matters_all_the_same(mailbox: Mailbox, name: str) -> None:
    user = hostile_user(name)
    user_wants_no_mail(user)
    call = owed(name, user)

    attempts.sweep()

    assert len(mailbox.mails()) == (name not in OPTIONAL)
    assert reread(call).error == ("switched off" if name in OPTIONAL else "")
    assert reread(call).settled_at is not None


@pytest.mark.parametrize("name", OF_USERS)
def test_who_is_deleted_by_then_gets_none(mailbox: Mailbox, name: str) -> None:
    user = hostile_user(name)
    call = owed(name, user)
    change_behind_the_doors(user, status="deleted")

    attempts.sweep()

    assert mailbox.mails() == []
    assert (reread(call).error, reread(call).email) == ("the user is gone", "")


def user_wants_no_mail(user: User) -> None:
    UserSettings.objects.create(user_id=user.pk, notify_email=False, version=2)
