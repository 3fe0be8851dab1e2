"""A notice as one mail: built from the user's row as it is now, and handed to the mail server of EMAIL_URL.

Called by `attempts`, which settles the call by what is raised here. Every mail is text and HTML, and both say the same:
the HTML is made of the text's paragraphs. Nothing that a user wrote gets into a header, and nothing of it can be
clicked: what can be is a link of ours, or PUBLIC_URL.
"""

import re
import smtplib
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import NamedTuple

from django.core.mail import EmailMultiAlternatives
from django.db.models import QuerySet
from django.template.loader import render_to_string

from accounts import links
from accounts.conf import AccountsSettings
from accounts.models import Link, OutsideCall, User, UserSettings
from accounts.names import canonical_text
from accounts.outside.calls import NobodyToTell
from events.errors import EventsError, Permanent, Retryable, Transient


@dataclass(frozen=True, slots=True)
class Notice:
    """A kind of mail; its words lie in templates/accounts/mail/<kind>.txt.

    `purpose` is that of the link it carries; without the link it is not sent, unless it is `good_without`. What is
    `optional` the user may have switched off.
    """

    subject: str
    purpose: str = ""
    # For whom it is pointless, of those who have the address; and who gets it without a link.
    not_for: Callable[[User], bool] = lambda _user: False
    linkless: Callable[[User], bool] = lambda _user: False
    good_without: bool = False
    optional: bool = False
    # Whose the address is by now is not looked at: it was a user's who is gone, or nobody's.
    to_address_alone: bool = False
    # What is sent in its place where the address has become another user's: to that one.
    if_taken: str = ""


NOTICES = {
    "welcome": Notice(
        "Welcome to usercenter", Link.Purpose.VERIFY, linkless=lambda user: user.email_verified, good_without=True
    ),
    "invited": Notice(
        "Your account at usercenter",
        Link.Purpose.INVITE,
        not_for=lambda user: not user.is_active or user.has_usable_password(),
    ),
    "verify": Notice(
        "Is this your e-mail address?",
        Link.Purpose.VERIFY,
        not_for=lambda user: user.email_verified or not user.is_active,
    ),
    "reset": Notice("Set a new password", Link.Purpose.RESET, not_for=lambda user: not user.is_active),
    "password_changed": Notice("Your password was changed"),
    "security_alert": Notice("Please look at your account"),
    "already_registered": Notice("You have an account already"),
    "username_taken": Notice("This username is taken", to_address_alone=True),
    "change_email": Notice(
        "Is this your new e-mail address?",
        Link.Purpose.CHANGE_EMAIL,
        not_for=lambda user: not user.is_active,
        if_taken="already_registered",
    ),
    "email_change_asked": Notice("Your e-mail address is about to change"),
    "email_changed": Notice("Your e-mail address was changed", Link.Purpose.UNDO_EMAIL, good_without=True),
    "suspended": Notice("Your account was suspended"),
    "reactivated": Notice("Your account is active again", optional=True),
    "pending_deletion": Notice(
        "Your account is going to be deleted",
        Link.Purpose.RESTORE,
        not_for=lambda user: user.status != User.Status.PENDING_DELETION,
        # What a user may not do before, asking for the deletion does not open either.
        linkless=lambda user: user.former_status == User.Status.SUSPENDED,
    ),
    "restored": Notice("Your account was restored", optional=True),
    "deleted": Notice("Your account was deleted", to_address_alone=True),
}
# Where in the operator's pages a link leads; the token follows the `#`, which no browser sends on.
PAGES: Mapping[str, str] = {
    Link.Purpose.VERIFY: "verify-email",
    Link.Purpose.RESET: "reset-password",
    Link.Purpose.INVITE: "reset-password",
    Link.Purpose.CHANGE_EMAIL: "confirm-email",
    Link.Purpose.UNDO_EMAIL: "undo-email",
    Link.Purpose.RESTORE: "restore-account",
}

# Nor with an encoded word (RFC 2047) in it, which Django would decode: the mail would go to another mailbox.
_ONE_ADDRESS = re.compile(r"(?!.*=\?)[^\s@,;:<>()\[\]\\\"]+@[^\s@,;:<>()\[\]\\\"]+")
_STARTS_A_LINK = re.compile(r"[.:/@\u3002\uff0e\uff61]")
_BREAK = "\u200b"
_CLOSING = 421  # RFC 5321, 3.8: the server ends the connection, whatever it was asked
_PERMANENT = 500
# RFC 5321, 4.2.3. What else a recipient is refused with ("554 Relay access denied") may be about us, and be mended.
_NO_SUCH_MAILBOX = {550, 551, 553}
_POLICY = b"5.7."  # RFC 3463, 3.8: "550 5.7.1 Relaying denied"


class MailServerAway(Transient):
    """No connection, or the server takes no mail from us at all: that is not about this one."""


class MailDeferred(Retryable):
    """The server refused this mail, for now or for what may be mended."""


class MailRefused(Permanent):
    """The server will never take this mail, or it has no address that could be used."""


def send(call: OutsideCall) -> None:
    """Send the mail of `call`. Raises NobodyToTell, MailServerAway, MailDeferred, MailRefused."""
    message = build(call)
    with _sorted_errors():
        message.send()


def build(call: OutsideCall) -> EmailMultiAlternatives:
    """The mail, with a Message-ID that stays the same however often it is sent. Raises NobodyToTell, MailRefused."""
    kind, user, address = _addressed(call)
    if not _ONE_ADDRESS.fullmatch(address):
        raise MailRefused("not one address")
    told = _told_to(user) | _told_by(call) | _link(call, kind, user)
    text = render_to_string(f"accounts/mail/{kind}.txt", told)
    message = EmailMultiAlternatives(subject=NOTICES[kind].subject, body=text, to=[address])
    message.attach_alternative(_html(text, NOTICES[kind].subject, told), "text/html")
    domain = parseaddr(message.from_email)[1].rpartition("@")[2]
    message.extra_headers = {"Message-ID": f"<{call.id}@{domain}>", "Auto-Submitted": "auto-generated"}
    return message


def told_time(at: datetime) -> str:
    """A moment for a person."""
    return at.astimezone(UTC).strftime("%Y-%m-%d, %H:%M UTC")


def inert(text: str) -> str:
    """What a user wrote, without control and invisible characters, and so that no mail program makes it a link."""
    visible = "".join(char for char in text if unicodedata.category(char)[0] != "C" and char not in "\u2028\u2029")
    return _STARTS_A_LINK.sub(lambda found: found[0] + _BREAK, visible)


class _Addressed(NamedTuple):
    """Which mail goes to whom: no user where it is the address alone."""

    kind: str
    user: User | None
    address: str


def _addressed(call: OutsideCall) -> _Addressed:
    """Raises NobodyToTell."""
    notice = NOTICES[call.kind]
    if notice.to_address_alone:
        return _Addressed(call.kind, None, call.email)
    user = _user_of(call)
    if notice.not_for(user):
        raise NobodyToTell("pointless")
    if notice.optional and UserSettings.objects.filter(user_id=user.pk, notify_email=False).exists():
        raise NobodyToTell("switched off")
    if notice.if_taken and (owner := _owner_of(call.email)) and owner != user:
        return _Addressed(notice.if_taken, owner, owner.email)
    # Whose it is was looked up by the address: the one in the row, never what a stranger typed.
    return _Addressed(call.kind, user, call.email if call.user_id and call.email else user.email)


def _user_of(call: OutsideCall) -> User:
    """Who is to be told. Raises NobodyToTell."""
    user = _living().filter(pk=call.user_id).first() if call.user_id else _owner_of(call.email)
    if user is None:
        raise NobodyToTell("the user is gone" if call.user_id else "nobody has the address")
    return user


def _owner_of(address: str) -> User | None:
    return _living().filter(email_canonical=canonical_text(address)).first()


def _living() -> QuerySet[User]:
    return User.objects.exclude(status=User.Status.DELETED)


def _told_to(user: User | None) -> dict[str, str]:
    """What is read from the row, if there is one."""
    told = {"public_url": AccountsSettings.current().public_url}
    return told | {"username": inert(user.username), "status": user.status} if user else told


def _told_by(call: OutsideCall) -> dict[str, str]:
    """What the call tells; all but the reason is worded by us."""
    return {name: inert(fact) if name == "reason" else fact for name, fact in call.facts.items()}


def _link(call: OutsideCall, kind: str, user: User | None) -> dict[str, str]:
    """The mail's link, and how long it is good. Raises NobodyToTell for a mail that is nothing without one."""
    notice = NOTICES[kind]
    if user is None or not notice.purpose or notice.linkless(user):
        return {}
    token = links.make(call, user, notice.purpose)
    if token is None and not notice.good_without:
        raise NobodyToTell("the link is void")
    if token is None:
        return {}
    link = f"{AccountsSettings.current().public_url}/{PAGES[notice.purpose]}#token={token}"
    lasts = links.LASTS.get(notice.purpose)
    return {"link": link, "lasts": lasts.words if lasts else ""}


def _html(text: str, subject: str, told: Mapping[str, str]) -> str:
    """The text's paragraphs, with our addresses as links; in what a user wrote is none, since `inert` broke it."""
    ours = [told[name] for name in ("link", "public_url") if name in told]
    address = re.compile("({})".format("|".join(map(re.escape, ours))))
    paragraphs = [address.split(paragraph) for paragraph in re.split(r"\n{2,}", text.strip())]
    return render_to_string("accounts/mail/base.html", {"subject": subject, "paragraphs": paragraphs, "ours": ours})


@contextmanager
def _sorted_errors() -> Iterator[None]:
    """What smtplib and the socket say, by whose fault it is; told by class and code, never with the address."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        [(code, told)] = error.recipients.values()
        is_policy = told.startswith(_POLICY)
        raise _answer(error, code, is_for_good=code in _NO_SUCH_MAILBOX and not is_policy) from None
    except smtplib.SMTPDataError as error:
        raise _answer(error, error.smtp_code, is_for_good=error.smtp_code >= _PERMANENT) from None
    except OSError as error:  # smtplib's other errors too: about the connection, our login, our sender address
        raise MailServerAway(_told(error)) from None


def _answer(error: smtplib.SMTPException, code: int, *, is_for_good: bool) -> EventsError:
    told = f"{type(error).__name__} {code}"
    if code == _CLOSING:
        return MailServerAway(told)
    return MailRefused(told) if is_for_good else MailDeferred(told)


def _told(error: OSError) -> str:
    code = getattr(error, "smtp_code", "")
    return f"{type(error).__name__} {code}".rstrip()
