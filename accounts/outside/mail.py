"""A notice as one mail: built from the user's row as it is now, and handed to the mail server of EMAIL_URL.

Called by `attempts`, which settles the call by what is raised here. Nothing that a user wrote gets into a header, and
in the text nothing of it can be clicked.
"""

import re
import smtplib
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parseaddr

from django.core.mail import EmailMessage
from django.template.loader import render_to_string

from accounts import links
from accounts.conf import AccountsSettings
from accounts.models import Link, OutsideCall, User
from accounts.names import canonical_text
from events.errors import EventsError, Permanent, Retryable, Transient


@dataclass(frozen=True, slots=True)
class Notice:
    """A kind of mail; its text lies in templates/accounts/mail/<kind>.txt. `purpose` is that of the link it carries."""

    subject: str
    purpose: str = ""
    # For whom it is pointless, of those who have the address.
    not_for: Callable[[User], bool] = lambda _user: False


NOTICES = {
    "welcome": Notice("Welcome to usercenter", Link.Purpose.VERIFY),
    "verify": Notice("Is this your e-mail address?", Link.Purpose.VERIFY, not_for=lambda user: user.email_verified),
    "reset": Notice("Set a new password", Link.Purpose.RESET, not_for=lambda user: not user.is_active),
    "password_changed": Notice("Your password was changed"),
    "security_alert": Notice("Please look at your account"),
    "already_registered": Notice("You have an account already"),
    "username_taken": Notice("This username is taken"),
}
# Where in the operator's pages a link leads; the token follows the `#`, which no browser sends on.
PAGES: Mapping[str, str] = {Link.Purpose.VERIFY: "verify-email", Link.Purpose.RESET: "reset-password"}

# Nor with an encoded word (RFC 2047) in it, which Django would decode: the mail would go to another mailbox.
_ONE_ADDRESS = re.compile(r"(?!.*=\?)[^\s@,;:<>()\[\]\\\"]+@[^\s@,;:<>()\[\]\\\"]+")
_STARTS_A_LINK = re.compile(r"[.:/@\u3002\uff0e\uff61]")
_BREAK = "\u200b"
_CLOSING = 421  # RFC 5321, 3.8: the server ends the connection, whatever it was asked
_PERMANENT = 500


class NobodyToTell(EventsError):
    """Nothing is owed any more: the user is gone, nobody has the address, or the mail would be pointless."""


class MailServerAway(Transient):
    """No connection, or the server takes no mail from us at all: that is not about this one."""


class MailDeferred(Retryable):
    """The server refused this mail for now."""


class MailRefused(Permanent):
    """The server will never take this mail, or it has no address that could be used."""


def send(call: OutsideCall) -> None:
    """Send the mail of `call`. Raises NobodyToTell, MailServerAway, MailDeferred, MailRefused."""
    message = build(call)
    with _sorted_errors():
        message.send()


def build(call: OutsideCall) -> EmailMessage:
    """The mail, with a Message-ID that stays the same however often it is sent. Raises NobodyToTell, MailRefused."""
    notice, user = NOTICES[call.kind], _user_of(call)
    if user and notice.not_for(user):
        raise NobodyToTell("pointless")
    address = user.email if user else call.email
    if not _ONE_ADDRESS.fullmatch(address):
        raise MailRefused("not one address")
    text = render_to_string(f"accounts/mail/{call.kind}.txt", _context(call, user, notice.purpose))
    message = EmailMessage(subject=notice.subject, body=text, to=[address])
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


def _user_of(call: OutsideCall) -> User | None:
    """Who is to be told; None where it is the address alone, which belongs to nobody."""
    living = User.objects.exclude(status=User.Status.DELETED)
    if call.user_id:
        user = living.filter(pk=call.user_id).first()
    else:
        user = living.filter(email_canonical=canonical_text(call.email)).first()
    if user is None and call.kind != "username_taken":
        raise NobodyToTell("the user is gone" if call.user_id else "nobody has the address")
    return user


def _context(call: OutsideCall, user: User | None, purpose: str) -> dict[str, str]:
    told = {**call.facts, "public_url": AccountsSettings.current().public_url}
    if user is None:
        return told
    # Somebody's first mail may come when the address is shown to be theirs already.
    is_done = purpose == Link.Purpose.VERIFY and user.email_verified
    link = _link(call, user, purpose) if purpose and not is_done else ""
    if purpose and not link and call.email:
        # Asked for because of its link. What comes by itself, the welcome, goes without.
        raise NobodyToTell("the link is void")
    lasts = links.LASTS[purpose].words if link else ""
    return told | {"username": inert(user.username), "link": link, "lasts": lasts}


def _link(call: OutsideCall, user: User, purpose: str) -> str:
    token = links.make(call, user, purpose)
    return f"{AccountsSettings.current().public_url}/{PAGES[purpose]}#token={token}" if token else ""


@contextmanager
def _sorted_errors() -> Iterator[None]:
    """What smtplib and the socket say, by whose fault it is; told by class and code, never with the address."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        [(code, _)] = error.recipients.values()
        raise _answer(error, code) from None
    except smtplib.SMTPDataError as error:
        raise _answer(error, error.smtp_code) from None
    except OSError as error:  # smtplib's other errors too: about the connection, our login, our sender address
        raise MailServerAway(_told(error)) from None


def _answer(error: smtplib.SMTPException, code: int) -> EventsError:
    told = f"{type(error).__name__} {code}"
    if code == _CLOSING:
        return MailServerAway(told)
    return MailRefused(told) if code >= _PERMANENT else MailDeferred(told)


def _told(error: OSError) -> str:
    code = getattr(error, "smtp_code", "")
    return f"{type(error).__name__} {code}".rstrip()
