"""Much may have happened between a mail's debt and its sending: it goes by what the rows say then, or not at all."""

import re
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts import links
from accounts.models import Link, OutsideCall, User
from accounts.names import EmailAddress
from accounts.outside import attempts, notices
from tests.integration.mailing import (
    Mailbox,
    Shown,
    change_behind_the_doors,
    html_of,
    owed_before,
    registered_user,
    reread,
    text_of,
)

pytestmark = pytest.mark.django_db

ANN, NEW = "ann@example.com", "new@example.com"
LEAVING = {"status": "pending_deletion", "former_status": "active", "delete_after": datetime(2099, 1, 1, tzinfo=UTC)}
NO_REASON = {"reason": "", "until": "some day"}


def owe(kind: str, *, user: User | None = None, email: str = "", **facts: str) -> OutsideCall:
    with transaction.atomic():
        key, user_id = str(uuid7()), user.pk if user else None
        call_id = notices.request(kind=kind, key=key, facts=facts, user_id=user_id, email=email)
    assert call_id
    return OutsideCall.objects.get(pk=call_id)


def only_mail(mailbox: Mailbox) -> EmailMessage:
    attempts.sweep()
    [mail] = mailbox.mails()
    return mail


def why_not(mailbox: Mailbox, call: OutsideCall) -> str:
    """Why this one was not sent, for good."""
    attempts.sweep()
    assert mailbox.mails() == []
    assert reread(call).settled_at is not None
    return reread(call).error


def whose(mail: EmailMessage, purpose: str) -> UUID:
    """Whom the mail's link would change, if it is for this purpose."""
    [token] = re.findall(r"#token=([\w-]+)", text_of(mail))
    return links.find(token, purpose, now=timezone.now()).user_id


# whose the address is by then --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["deleted", "username_taken"])
def test_a_mail_to_an_address_says_nothing_of_who_has_it_by_then(mailbox: Mailbox, kind: str) -> None:
    owe(kind, email=ANN, deleted_on="2026-11-24")
    registered_user("bob", email=ANN)

    mail = only_mail(mailbox)

    assert mail["X-Envelope-To"] == ANN
    assert "bob" not in mail.as_string()
    assert not Link.objects.exists()


def test_a_new_address_that_another_has_by_then_is_told_to_that_one_alone(mailbox: Mailbox) -> None:
    ann = registered_user("ann", email=ANN)
    bob = registered_user("bob", email="bob@example.com")
    owe("change_email", user=ann, email="BOB@Example.com")

    mail = only_mail(mailbox)

    assert mail["X-Envelope-To"] == bob.email
    assert mail["Subject"] == "You have an account already"
    assert 'the account "bob"' in text_of(mail)
    assert "ann" not in text_of(mail) + html_of(mail)
    assert not Link.objects.exists()


def test_a_new_address_that_was_a_deleted_users_gets_its_link(mailbox: Mailbox) -> None:
    ann = registered_user("ann", email=ANN)
    change_behind_the_doors(registered_user("bob", email=NEW), status="deleted")
    owe("change_email", user=ann, email=NEW)

    mail = only_mail(mailbox)

    assert mail["X-Envelope-To"] == NEW
    assert whose(mail, Link.Purpose.CHANGE_EMAIL) == ann.pk


def test_a_link_that_a_stranger_asks_for_goes_to_the_address_in_the_row(mailbox: Mailbox) -> None:
    registered_user("ann", email=ANN)
    owe("reset", email="ANN@EXAMPLE.COM")

    assert only_mail(mailbox)["X-Envelope-To"] == ANN


@pytest.mark.parametrize("now", [{}, LEAVING, {"status": "suspended"}], ids=["active", "leaving", "suspended"])
def test_the_former_address_is_offered_the_way_back_and_not_told_the_new_one(
    mailbox: Mailbox, now: dict[str, Any]
) -> None:
    user = registered_user("ann", email=NEW)
    call = owe("email_changed", user=user, email=ANN, at="some day")
    links.hold(EmailAddress(ANN, ANN), user, call_id=call.pk, now=timezone.now())
    change_behind_the_doors(user, **now)

    mail = only_mail(mailbox)

    assert mail["X-Envelope-To"] == mail["To"] == ANN
    assert whose(mail, Link.Purpose.UNDO_EMAIL) == user.pk
    assert "good for 7 days" in text_of(mail)
    assert "new@" not in mail.as_string()


# what the account is by then ---------------------------------------------------------------------------------


def test_who_was_suspended_before_leaving_gets_no_way_round_it(mailbox: Mailbox) -> None:
    user = registered_user()
    change_behind_the_doors(user, **LEAVING | {"former_status": "suspended"})
    owe("pending_deletion", user=user, **NO_REASON)

    mail = only_mail(mailbox)

    assert "is going to be deleted on some day" in text_of(mail)
    assert "please write to the operator" in text_of(mail)
    assert "#token=" not in mail.as_string()
    assert not Link.objects.exists()


@pytest.mark.parametrize("status", ["active", "suspended"])
def test_who_does_not_leave_any_more_is_not_told_so(mailbox: Mailbox, status: str) -> None:
    user = registered_user()
    change_behind_the_doors(user, **LEAVING)
    call = owe("pending_deletion", user=user, **NO_REASON)
    change_behind_the_doors(user, status=status)

    assert why_not(mailbox, call) == "pointless"
    assert not Link.objects.exists()


@pytest.mark.parametrize(
    ("kind", "status", "says"),
    [
        ("restored", "active", "set a new password at http://localhost:8080; that ends"),
        ("restored", "suspended", "It is suspended, as it was before."),
        ("reactivated", "active", "You can sign in again at http://localhost:8080."),
    ],
)
def test_who_is_let_in_again_is_told_what_that_means(mailbox: Mailbox, kind: str, status: str, says: str) -> None:
    user = registered_user()
    change_behind_the_doors(user, status=status)
    owe(kind, user=user, **NO_REASON)

    mail = only_mail(mailbox)

    assert says in text_of(mail)
    assert "reason" not in text_of(mail)


def test_who_was_barred_anew_is_not_asked_in(mailbox: Mailbox) -> None:
    user = registered_user()
    owe("reactivated", user=user, **NO_REASON)
    change_behind_the_doors(user, status="suspended")

    assert "sign in" not in text_of(only_mail(mailbox))


def test_a_suspension_without_an_end_or_a_reason_names_none(mailbox: Mailbox) -> None:
    owe("suspended", user=registered_user(), reason="", until="")

    assert 'your account "ann" was suspended; all sessions have ended.\n\nIf you' in text_of(only_mail(mailbox))


@pytest.mark.parametrize("kind", ["change_email", "reset", "verify"])
@pytest.mark.parametrize("status", ["suspended", "pending_deletion"])
def test_who_is_barred_by_then_gets_no_link(mailbox: Mailbox, kind: str, status: str) -> None:
    user = registered_user()
    call = owe(kind, user=user, email=NEW if kind == "change_email" else "")
    change_behind_the_doors(user, status=status)

    assert why_not(mailbox, call) == "pointless"


def test_who_has_a_password_by_then_is_not_invited(mailbox: Mailbox) -> None:
    user = registered_user()
    change_behind_the_doors(user, password="!")
    call = owe("invited", user=user)
    change_behind_the_doors(user, password="x")

    assert why_not(mailbox, call) == "pointless"


# what became of its link -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "purpose", "now"),
    [("reset", "reset", {}), ("invited", "invite", {"password": "!"}), ("pending_deletion", "restore", LEAVING)],
)
def test_a_mail_is_not_sent_again_once_its_link_was_spent(
    mailbox: Mailbox, kind: str, purpose: str, now: dict[str, Any]
) -> None:
    user = registered_user()
    change_behind_the_doors(user, **now)
    call = owe(kind, user=user, **NO_REASON)
    assert links.make(call, user, purpose)
    owed_before(call)
    links.void_all(user)

    assert why_not(mailbox, call) == "the link is void"


@pytest.mark.parametrize("kind", ["reset", "verify", "change_email", "invited"])
def test_a_mail_that_was_held_up_until_all_links_ended_has_none_either(mailbox: Mailbox, kind: str) -> None:
    user = registered_user()
    if kind == "invited":
        change_behind_the_doors(user, password="!")
    call = owe(kind, user=user, email=NEW if kind == "change_email" else "")
    owed_before(call)
    links.void_all(user)

    assert why_not(mailbox, call) == "the link is void"


def test_what_is_owed_where_all_links_end_has_one(mailbox: Mailbox) -> None:
    user = registered_user()
    links.void_all(user)
    owe("verify", user=user)

    assert whose(only_mail(mailbox), Link.Purpose.VERIFY) == user.pk


def test_an_address_that_is_not_held_any_more_is_offered_no_way_back(mailbox: Mailbox) -> None:
    owe("email_changed", user=registered_user(email=NEW), email=ANN, at="some day")

    told = text_of(only_mail(mailbox))
    assert "#token=" not in told
    assert "If it was not, tell those who run" in told


def test_a_repeat_carries_the_same_link_in_both_parts(mailbox: Mailbox) -> None:
    user = registered_user()
    call = owe("reset", user=user)
    attempts.sweep()
    # As if its sender had died before it could note that it was sent.
    OutsideCall.objects.filter(pk=call.pk).update(settled_at=None, next_attempt_at=timezone.now())

    attempts.sweep()

    first, second = mailbox.mails()
    assert first["Message-ID"] == second["Message-ID"]
    assert text_of(first) == text_of(second)
    assert html_of(first) == html_of(second)
    [link] = [address for address in Shown(html_of(first)).leads_to if address and "#token=" in address]
    assert link in text_of(second).splitlines()
