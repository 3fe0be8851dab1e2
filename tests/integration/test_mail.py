"""A notice as mail: what arrives, what comes of each answer of the mail server, and who may send when."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.utils import timezone
from pytest_django import Settings
from uuid_utils.compat import uuid7

from accounts import links
from accounts.models import Link, OutsideCall
from accounts.outside import attempts, calls
from devstack import Stack, ports
from tests.integration.mailing import (
    Mailbox,
    as_time_goes_by,
    change_behind_the_doors,
    owed_before,
    owed_to,
    registered_user,
    reread,
    text_of,
)

pytestmark = pytest.mark.django_db


# what arrives ------------------------------------------------------------------------------------------------


def test_the_welcome_mail_goes_to_its_user_alone(mailbox: Mailbox) -> None:
    call = owed_to(registered_user("ann", email="ann@example.com").id)

    attempts.sweep()

    [mail] = mailbox.mails()
    assert mail["X-Envelope-To"] == mail["To"] == "ann@example.com"
    assert mail["Cc"] is mail["Bcc"] is None
    assert (mail["Subject"], mail["From"]) == ("Welcome to usercenter", "usercenter@localhost")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == f"<{call.id}@localhost>"
    written_at = parsedate_to_datetime(mail["Date"]).replace(tzinfo=UTC)  # RFC 5322 calls it -0000
    assert abs(written_at - timezone.now()) < timedelta(minutes=1)
    assert 'your account "ann" was created on 2026-11-24' in text_of(mail)
    assert reread(call).settled_at is not None


def test_a_call_that_is_settled_is_not_made_again(mailbox: Mailbox) -> None:
    call = owed_to(registered_user().id)

    for _ in range(2):
        attempts.attempt_one(call.id)
        attempts.sweep()
        as_time_goes_by(call)

    assert len(mailbox.mails()) == 1


def test_the_address_is_the_one_that_the_user_has_when_it_is_sent(mailbox: Mailbox) -> None:
    user = registered_user(email="old@example.com")
    owed_to(user.id)
    change_behind_the_doors(user, email="new@example.com")

    attempts.sweep()

    assert [mail["X-Envelope-To"] for mail in mailbox.mails()] == ["new@example.com"]


HOSTILE_NAMES = {
    "line breaks": (
        "x\r\nBcc: eve@evil.example\r\n\r\nSend money",
        "xBcc:\u200b eve@\u200bevil.\u200bexampleSend money",
    ),
    "a link": ("https://evil.example/a", "https:\u200b/\u200b/\u200bevil.\u200bexample/\u200ba"),
    "a bare domain": ("evil.com", "evil.\u200bcom"),
    "a domain with an ideographic stop": ("evil\u3002com", "evil\u3002\u200bcom"),
    "a link that was broken already": ("evil.\u200bcom", "evil.\u200bcom"),
    "HTML": ("<a href=evil>click</a>", "<a href=evil>click</\u200ba>"),
    "a Django template": ("{{7*7}}{% now 'Y' %}", "{{7*7}}{% now 'Y' %}"),
    "a lookup": ("${jndi:ldap://evil}", "${jndi:\u200bldap:\u200b/\u200b/\u200bevil}"),
    "text that turns round": ("\u202emoc.live", "moc.\u200blive"),
    "an encoded word": ("=?utf-8?q?evil?=", "=?utf-8?q?evil?="),
}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_username_is_quoted_and_nothing_more(mailbox: Mailbox, name: str) -> None:
    username, shown = HOSTILE_NAMES[name]
    owed_to(registered_user(username).id)

    attempts.sweep()

    [mail] = mailbox.mails()
    assert mail["X-Envelope-To"] == "ann@example.com"
    assert set(mail.keys()) == {
        "X-Envelope-From", "X-Envelope-To", "Content-Type", "MIME-Version", "Subject", "From", "To", "Date",
        "Message-ID", "Auto-Submitted",
    }  # fmt: skip
    head, _, _ = mailbox.files()[0].read_bytes().partition(b"\r\n\r\n")
    assert "evil" not in head.decode()
    assert f'your account "{shown}" was created on' in text_of(mail)


@pytest.mark.parametrize(
    "address",
    ["ann@example.com\r\nBcc: eve@evil.example", "ann@example.com, eve@evil.example", '"a b"@example.com', "ann", ""],
)
def test_an_address_that_is_not_just_one_is_never_used(mailbox: Mailbox, address: str) -> None:
    call = owed_to(registered_user(email=address).id)

    attempts.sweep()

    assert mailbox.mails() == []
    assert (reread(call).error, reread(call).settled_at) == ("not one address", None)
    assert reread(call).failed_at is not None


def test_a_welcome_whose_link_was_spent_before_it_went_comes_without(mailbox: Mailbox) -> None:
    user = registered_user()
    call = owed_to(user.id)
    assert links.make(call, user, Link.Purpose.VERIFY)
    owed_before(call)
    links.void_all(user)

    attempts.sweep()

    [mail] = mailbox.mails()
    assert "#token=" not in text_of(mail)
    assert 'your account "ann"' in text_of(mail)


@pytest.mark.parametrize("gone", ["never there", "deleted"])
def test_nothing_is_sent_to_a_user_who_is_gone(mailbox: Mailbox, gone: str) -> None:
    user = registered_user()
    change_behind_the_doors(user, status="deleted")
    call = owed_to(user.id if gone == "deleted" else uuid7())

    attempts.sweep()

    assert mailbox.mails() == []
    assert (reread(call).error, reread(call).failed_at) == ("the user is gone", None)
    assert reread(call).settled_at is not None


# what comes of each answer ------------------------------------------------------------------------------------


class Answers:
    """A mail server that gives one answer at one step, and accepts everything before."""

    def __init__(self, step: str, answer: str) -> None:
        self._answers = {step: answer}

    async def handle_MAIL(self, _server: SMTP, _: Session, mail: Envelope, address: str, _more: Any) -> str:  # noqa: N802 - aiosmtpd's name
        mail.mail_from = address
        return self._answers.get("MAIL", "250 OK")

    async def handle_RCPT(self, _server: SMTP, _: Session, mail: Envelope, address: str, _more: Any) -> str:  # noqa: N802 - aiosmtpd's name
        mail.rcpt_tos.append(address)
        return self._answers.get("RCPT", "250 OK")

    async def handle_DATA(self, _server: SMTP, _: Session, _mail: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        return self._answers.get("DATA", "250 OK")


@contextmanager
def server_that(step: str, answer: str, settings: Settings) -> Iterator[None]:
    settings.EMAIL_PORT = ports.free()
    server = Controller(Answers(step, answer), hostname="127.0.0.1", port=settings.EMAIL_PORT)
    server.start()
    try:
        yield
    finally:
        server.stop()


PERMANENT = [
    ("RCPT", "550 5.1.1 no such user"), ("RCPT", "551 5.1.6 user not local"), ("RCPT", "553 5.1.3 no such name"),
    ("DATA", "550 5.7.1 looks like spam"), ("DATA", "552 5.3.4 too large"), ("DATA", "554 5.7.1 we do not want this"),
]  # fmt: skip
FOR_NOW = [
    ("RCPT", "450 4.2.0 greylisted"), ("RCPT", "452 4.2.2 mailbox full"), ("DATA", "451 4.3.0 try later"),
    # None says that there is no such mailbox.
    ("RCPT", "554 5.7.1 Relay access denied"), ("RCPT", "530 5.7.0 log in first"), ("RCPT", "500 5.5.2 what?"),
    ("RCPT", "503 5.5.1 bad sequence"), ("RCPT", "552 5.2.2 mailbox full"), ("RCPT", "550 5.7.1 Relaying denied"),
]  # fmt: skip
ABOUT_US = [
    ("MAIL", "530 5.7.0 log in first"), ("MAIL", "451 4.3.0 overloaded"), ("RCPT", "421 4.3.2 closing"),
    ("DATA", "421 4.3.2 closing"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "answer"), PERMANENT)
def test_an_answer_for_good_ends_the_call(mailbox: Mailbox, settings: Settings, step: str, answer: str) -> None:
    call = owed_to(registered_user().id)

    with server_that(step, answer, settings):
        attempts.sweep()

    assert re.fullmatch(rf"SMTP\w+ {answer[:3]}", reread(call).error)
    assert reread(call).failed_at is not None
    assert calls.take() is None


@pytest.mark.parametrize(("step", "answer"), FOR_NOW)
def test_an_answer_for_now_counts_and_is_tried_again_later(
    mailbox: Mailbox, settings: Settings, step: str, answer: str
) -> None:
    call = owed_to(registered_user().id)

    began = timezone.now()
    with server_that(step, answer, settings):
        attempts.sweep()

    assert reread(call).attempts == 1
    assert re.fullmatch(rf"SMTP\w+ {answer[:3]}", reread(call).error)
    assert began + timedelta(seconds=15) < reread(call).next_attempt_at < timezone.now() + timedelta(seconds=30)


@pytest.mark.parametrize(("step", "answer"), ABOUT_US)
def test_an_answer_that_is_not_about_the_mail_burns_no_attempt(
    mailbox: Mailbox, settings: Settings, step: str, answer: str
) -> None:
    call = owed_to(registered_user().id)

    with server_that(step, answer, settings):
        attempts.sweep()

    assert (reread(call).attempts, reread(call).failed_at, reread(call).settled_at) == (0, None, None)
    assert reread(call).next_attempt_at > timezone.now()


def test_after_enough_refusals_a_call_is_given_up(mailbox: Mailbox, settings: Settings) -> None:
    call = owed_to(registered_user().id)
    OutsideCall.objects.filter(pk=call.pk).update(attempts=9)

    with server_that("RCPT", "450 greylisted", settings):
        attempts.sweep()

    assert reread(call).attempts == 10
    assert reread(call).failed_at is not None


def test_a_mail_that_cannot_be_built_counts_as_a_failure(mailbox: Mailbox) -> None:
    call = owed_to(registered_user().id)
    OutsideCall.objects.filter(pk=call.pk).update(kind="unheard-of")

    attempts.sweep()

    assert (reread(call).attempts, reread(call).error) == (1, "KeyError")


def test_mail_outlasts_an_outage_and_arrives_once(mailbox: Mailbox, parts: Stack) -> None:
    owed = [owed_to(registered_user(f"ann{n}", email=f"ann{n}@example.com").id) for n in range(3)]
    parts.smtp.stop()
    try:
        for _ in range(12):  # more than the attempts that a call has
            attempts.sweep()
            for call in owed:
                as_time_goes_by(call)
    finally:
        parts.smtp.start()
    assert {reread(call).attempts for call in owed} == {0}
    assert mailbox.mails() == []

    attempts.sweep()
    attempts.sweep()

    arrived = [(mail["To"], mail["Message-ID"]) for mail in mailbox.mails()]
    assert arrived == [(f"ann{n}@example.com", f"<{call.id}@localhost>") for n, call in enumerate(owed)]


def test_during_an_outage_a_sweep_knocks_once(mailbox: Mailbox, parts: Stack) -> None:
    owed = [owed_to(registered_user(f"ann{n}", email=f"ann{n}@example.com").id) for n in range(3)]
    for ago_s, call in zip((3, 2, 1), owed, strict=True):
        due_at = timezone.now() - timedelta(seconds=ago_s)
        OutsideCall.objects.filter(pk=call.pk).update(next_attempt_at=due_at)
    parts.smtp.stop()
    try:
        attempts.sweep()
    finally:
        parts.smtp.start()

    assert [bool(reread(call).error) for call in owed] == [True, False, False]
