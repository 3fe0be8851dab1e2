"""publish(): one record in the caller's own transaction, or a refusal."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone
from msgspec import msgpack

from events.envelope import Actor
from events.models import OutboxRecord
from events.outbox.publish import (
    NotInTransaction,
    OutOfOrder,
    TooLarge,
    TooManyKeys,
    publish,
    publish_all,
    publish_in_batches,
)
from events.trace import following
from tests.integration.relaying import Elsewhere, Noted

pytestmark = pytest.mark.django_db(transaction=True)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class ChangedItsMind(Exception):
    pass


def written() -> list[tuple[str, str, int]]:
    """(topic, key, n) by id."""
    return [
        (record.topic, record.key, Noted.from_json(bytes(record.value)).n)
        for record in OutboxRecord.objects.order_by("id")
    ]


def publish_and_raise(event: Noted) -> None:
    with transaction.atomic():
        publish(event)
        raise ChangedItsMind


def in_one_transaction(*calls: Iterable[Noted]) -> None:
    with transaction.atomic():
        for events in calls:
            publish_all(events)


def thousandths(numbers: range) -> list[Noted]:
    """Each of a key of its own, in order."""
    return [Noted(of=f"{n:04}", n=n) for n in numbers]


def test_a_rollback_leaves_no_record() -> None:
    with pytest.raises(ChangedItsMind):
        publish_and_raise(Noted(of="user", n=1))
    assert written() == []


def test_a_rolled_back_savepoint_takes_its_record_along() -> None:
    with transaction.atomic():
        publish(Noted(of="user", n=1))
        with pytest.raises(ChangedItsMind):
            publish_and_raise(Noted(of="user", n=2))
        publish(Noted(of="user", n=3))
    assert written() == [("user.events", "user", 1), ("user.events", "user", 3)]


def test_a_commit_leaves_exactly_one_record_that_holds_what_kafka_will_get() -> None:
    with following(TRACE), transaction.atomic():
        publish(Noted(of="user-1", n=1, text="Zoë"), actor=Actor("staff", "7"))
    record = OutboxRecord.objects.get()
    assert (record.topic, record.key, record.type) == ("user.events", "user-1", "test.noted")
    assert bytes(record.value) == '{"of":"user-1","n":1,"text":"Zoë"}'.encode()
    headers = {name: value.decode() for name, value in msgpack.decode(bytes(record.headers))}
    happened = datetime.fromisoformat(headers.pop("ce_time"))
    event_id = UUID(headers.pop("ce_id"))
    assert headers == {
        "ce_specversion": "1.0",
        "ce_source": "http://localhost:8080",
        "ce_type": "test.noted",
        "ce_subject": "user-1",
        "ce_dataschema": "http://localhost:8080/schemas/test.noted/1",
        "content-type": "application/json",
        "traceparent": TRACE,
        "ce_authtype": "staff",
        "ce_authid": "7",
    }
    assert event_id == record.event_id
    assert event_id.version == 7
    assert happened.tzinfo == UTC
    assert abs(timezone.now() - happened) < timedelta(seconds=10)
    assert (record.published_at, record.dead_at, record.attempts, record.partition) == (None, None, 0, None)


def test_outside_a_transaction_it_refuses() -> None:
    with pytest.raises(NotInTransaction):
        publish(Noted(of="user", n=1))
    assert written() == []


def test_events_are_written_sorted_by_topic_and_key_and_in_order_within_a_key() -> None:
    with transaction.atomic():
        publish_all(
            [Noted(of="b", n=1), Elsewhere(of="z", n=1), Noted(of="a", n=1), Noted(of="b", n=0), Noted(of="a", n=2)]
        )
    assert written() == [
        ("user.analytics", "z", 1),
        ("user.events", "a", 1),
        ("user.events", "a", 2),
        ("user.events", "b", 1),
        ("user.events", "b", 0),
    ]


def test_a_second_call_with_a_smaller_key_is_refused_because_it_can_deadlock() -> None:
    with pytest.raises(OutOfOrder):
        in_one_transaction([Noted(of="b", n=1)], [Noted(of="a", n=1)])
    assert written() == []


def test_the_next_transaction_may_begin_with_any_key() -> None:
    for key in ("b", "a"):
        with transaction.atomic():
            publish(Noted(of=key, n=1))
    assert len(written()) == 2


def test_a_thousand_keys_go_into_one_transaction_and_no_more() -> None:
    in_one_transaction(thousandths(range(1_000)))
    with pytest.raises(TooManyKeys):
        in_one_transaction(thousandths(range(1_001)))
    with pytest.raises(TooManyKeys):
        in_one_transaction(thousandths(range(600)), thousandths(range(600, 1_001)))
    assert OutboxRecord.objects.count() == 1_000


def test_any_number_goes_in_batches() -> None:
    publish_in_batches(thousandths(range(2_001)))
    assert OutboxRecord.objects.count() == 2_001
    assert OutboxRecord.objects.values("xid").distinct().count() == 3


def test_what_a_broker_would_not_take_is_refused_before_it_is_written() -> None:
    with transaction.atomic():
        publish(Noted(of="user", n=1, text="x" * 990_000))
    with pytest.raises(TooLarge), transaction.atomic():
        publish(Noted(of="user", n=1, text="x" * 1_000_000))
    assert OutboxRecord.objects.count() == 1


@pytest.mark.django_db(transaction=False)
class TestWithinATestCasesOwnTransaction:
    """It would hide a caller that opens none; so it does not count."""

    def test_it_refuses(self) -> None:
        with pytest.raises(NotInTransaction):
            publish(Noted(of="user", n=1))

    def test_it_takes_any_order_of_services_that_open_their_own(self) -> None:
        for key in ("b", "a"):
            with transaction.atomic():
                publish(Noted(of=key, n=1))
        assert [key for _, key, _ in written()] == ["b", "a"]
