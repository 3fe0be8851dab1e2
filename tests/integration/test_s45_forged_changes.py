"""S45, of users who are there: whatever somebody else says of them, data, cache and mailbox stay as they are."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone
from msgspec import structs

from accounts.event_types import (
    Status,
    UserChanges,
    UserDeleted,
    UserEvent,
    UserPasswordChanged,
    UserSecurityAlert,
    UserStatusChanged,
    UserUpdated,
)
from accounts.models import LastLogin, LoginRecord, OutsideCall, SecurityRecord, User, UserSettings
from accounts.outside import attempts
from accounts.projections import profile_cache
from accounts.selectors import profile_of
from accounts.services import lifecycle
from devstack import Stack
from events.inbox import batch
from events.kafka import Record
from events.models import InboxRecord, OutboxRecord, ParkedDelivery
from events.outbox.publish import publish
from tests.integration.caching import cached
from tests.integration.delivering import group, letters, published, record_of
from tests.integration.logins import NINE
from tests.integration.mailing import Mailbox, registered_user, text_of

pytestmark = pytest.mark.django_db(transaction=True)

EVIL = "evil@evil.example"
CLIENT: dict[str, Any] = {"device": "Evil", "ip": "198.51.100.66"}
UNVERIFIED = ("", "unverified: not in the outbox")
ROWS = (User, UserSettings, LoginRecord, LastLogin, SecurityRecord, OutsideCall)

Forgery = Callable[[UUID], UserEvent]


@dataclass(frozen=True)
class Victim:
    """Somebody who is there, with a settled past, a cached profile and a read mailbox."""

    user: User
    mailbox: Mailbox

    def state(self) -> tuple[object, ...]:
        """Every row about users but what the outbox keeps, the cached profile, the mail."""
        rows = [list(model.objects.order_by("pk").values()) for model in ROWS]
        return rows, cached(self.user.pk), len(self.mailbox.mails())


@pytest.fixture
def victim(parts: Stack, mailbox: Mailbox) -> Iterator[Victim]:
    user = registered_user()
    batch.handle(published(), group())
    attempts.sweep()
    profile_cache.put_if_newer(user.pk, profile_of(user.pk))
    yield Victim(user, mailbox)
    profile_cache.forget(user.pk, 1_000)


def deletion(user_id: UUID) -> UserEvent:
    return UserDeleted(user_id=user_id, version=2, at=NINE)


def new_password(user_id: UUID) -> UserEvent:
    return UserPasswordChanged(user_id=user_id, version=2, how="reset", at=NINE, **CLIENT)


def promotion(user_id: UUID) -> UserEvent:
    changes = UserChanges(is_staff=True, is_superuser=True, email=EVIL, display_name="Evil")
    return UserUpdated(user_id=user_id, version=2, changes=changes, at=NINE)


def move(user_id: UUID, to: Status = "deleted", version: int = 2) -> UserEvent:
    reason = "Log in at evil.example"
    return UserStatusChanged(
        user_id=user_id, version=version, former="active", to=to, reason=reason, until=NINE, at=NINE
    )  # fmt: skip


def suspension(user_id: UUID) -> UserEvent:
    return move(user_id, "suspended")


def alert(user_id: UUID) -> UserEvent:
    return UserSecurityAlert(user_id=user_id, version=2, kind="login_blocked", at=NINE, **CLIENT)


FORGERIES = [deletion, new_password, promotion, move, suspension, alert]


def with_another_address(record: Record) -> Record:
    """As if the event said where the mail is to go."""
    value = json.dumps({**json.loads(record.value or b""), "email": EVIL}).encode()
    return structs.replace(record, value=value)


def handle(*records: Record) -> None:
    """In the consumer, and what it owes in the worker."""
    batch.handle(list(records), group())
    attempts.sweep()


def genuine(event: UserEvent) -> OutboxRecord:
    """Of ours, whatever led to it."""
    with transaction.atomic():
        publish(event)
    return OutboxRecord.objects.filter(key=event.key).latest("id")


def forget_that_it_came() -> None:
    """The inbox knows no event any more, and nothing that was owed."""
    InboxRecord.objects.all().delete()
    OutsideCall.objects.all().delete()


@pytest.mark.parametrize("forgery", FORGERIES)
def test_an_event_that_is_invented_changes_nothing(victim: Victim, forgery: Forgery) -> None:
    before = victim.state()

    handle(with_another_address(record_of(forgery(victim.user.pk))))

    assert victim.state() == before
    assert letters() == [UNVERIFIED]
    assert OutboxRecord.objects.filter(topic="user.events.dlq").count() == 1


@pytest.mark.parametrize("forgery", FORGERIES)
def test_an_id_of_ours_that_was_handled_carries_no_other_word(victim: Victim, forgery: Forgery) -> None:
    used = genuine(alert(victim.user.pk))
    handle(*published())
    before = victim.state()

    handle(with_another_address(record_of(forgery(victim.user.pk), event_id=used.event_id)))

    assert victim.state() == before


def test_an_id_of_ours_that_comes_first_with_another_word_destroys_nothing_and_raises_nobody(victim: Victim) -> None:
    """Nobody can tell by the id that the data is another's: the row says what is so."""
    user_id = victim.user.pk
    others = [deletion(user_id), promotion(user_id), move(user_id)]
    ids = [genuine(event).event_id for event in others]
    before = victim.state()

    handle(*(with_another_address(record_of(event, event_id=ids[n])) for n, event in enumerate(others)))

    assert victim.state() == before
    assert letters() == []


def test_a_mail_whose_event_was_changed_on_its_way_goes_to_the_address_of_the_row(victim: Victim) -> None:
    record = genuine(new_password(victim.user.pk))
    told = len(victim.mailbox.mails())

    handle(with_another_address(record_of(new_password(victim.user.pk), event_id=record.event_id)))

    [mail] = victim.mailbox.mails()[told:]
    assert mail["X-Envelope-To"] == victim.user.email
    assert EVIL not in mail.as_string()


def test_a_notice_of_the_status_tells_the_rows_reason_whatever_the_event_says(victim: Victim) -> None:
    lifecycle.suspend(user_id=victim.user.pk, reason="too many complaints", until=None, by=None, now=timezone.now())
    record = OutboxRecord.objects.filter(type="user.status_changed").latest("id")
    told = len(victim.mailbox.mails())

    handle(record_of(move(victim.user.pk, "suspended"), event_id=record.event_id))

    [mail] = victim.mailbox.mails()[told:]
    text = text_of(mail)
    assert 'The reason given: "too many complaints"' in text
    assert ("evil" in text, "until" in text) == (False, False)


def test_a_status_that_is_over_is_told_to_nobody_when_its_event_is_replayed(victim: Victim) -> None:
    user_id, now = victim.user.pk, timezone.now()
    lifecycle.suspend(user_id=user_id, reason="spam", until=None, by=None, now=now)
    lifecycle.reactivate(user_id=user_id, reason="a mistake", by=None, now=now)
    handle(*published())
    told = [mail["Subject"] for mail in victim.mailbox.mails()]
    forget_that_it_came()

    handle(*(record for record in published() if b'"to":"suspended"' in (record.value or b"")))

    assert [mail["Subject"] for mail in victim.mailbox.mails()] == told
    assert User.objects.get().status == "active"


def test_a_deletion_of_ours_erases_nobody_whose_row_does_not_say_so(victim: Victim) -> None:
    """As after the database came back from a backup."""
    genuine(deletion(victim.user.pk))
    before = victim.state()

    handle(*published())

    assert victim.state() == before
    assert not ParkedDelivery.objects.exists()


def test_a_deletion_that_waits_erases_nobody_before_its_time(victim: Victim) -> None:
    lifecycle.delete(user_id=victim.user.pk, reason="asked for", by=None, now=timezone.now())
    record = OutboxRecord.objects.filter(type="user.status_changed").latest("id")

    handle(*published(), record_of(deletion(victim.user.pk)))
    handle(record_of(deletion(victim.user.pk), event_id=record.event_id))

    assert User.objects.values_list("username", "email", "status").get() == (
        "ann",
        "ann@example.com",
        "pending_deletion",
    )
    assert letters() == [UNVERIFIED]
    assert "Your account was deleted" not in [mail["Subject"] for mail in victim.mailbox.mails()]
