"""A notice as one mail: built from the user's row as it is now, and handed to the mail server of EMAIL_URL.

Called by `attempts`, which settles the call by what is raised here. Nothing that a user wrote gets into a header, and
in the text nothing of it can be clicked.
"""

import re
import smtplib
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parseaddr

from django.core.mail import EmailMessage
from django.template.loader import render_to_string

from accounts.conf import AccountsSettings
from accounts.models import OutsideCall, User
from events.errors import EventsError, Permanent, Retryable, Transient

# By kind of notice; the text lies in templates/accounts/mail/<kind>.txt.
SUBJECTS = {"welcome": "Welcome to usercenter"}

_ONE_ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\\\"]+@[^\s@,;:<>()\[\]\\\"]+")
_STARTS_A_LINK = re.compile(r"[.:/@\u3002\uff0e\uff61]")
_BREAK = "\u200b"
_CLOSING = 421  # RFC 5321, 3.8: the server ends the connection, whatever it was asked
_PERMANENT = 500


class NobodyToTell(EventsError):
    """The user is gone: nothing is owed any more."""


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
    user = User.objects.filter(pk=call.user_id).exclude(status=User.Status.DELETED).first()
    if user is None:
        raise NobodyToTell("the user is gone")
    if not _ONE_ADDRESS.fullmatch(user.email):
        raise MailRefused("not one address")
    message = EmailMessage(subject=SUBJECTS[call.kind], body=_text(call, user), to=[user.email])
    domain = parseaddr(message.from_email)[1].rpartition("@")[2]
    message.extra_headers = {"Message-ID": f"<{call.id}@{domain}>", "Auto-Submitted": "auto-generated"}
    return message


def inert(text: str) -> str:
    """What a user wrote, without control and invisible characters, and so that no mail program makes it a link."""
    visible = "".join(char for char in text if unicodedata.category(char)[0] != "C" and char not in "\u2028\u2029")
    return _STARTS_A_LINK.sub(lambda found: found[0] + _BREAK, visible)


def _text(call: OutsideCall, user: User) -> str:
    context = {**call.facts, "username": inert(user.username), "public_url": AccountsSettings.current().public_url}
    return render_to_string(f"accounts/mail/{call.kind}.txt", context)


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
