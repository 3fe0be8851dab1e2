"""The helpers for other projects' tests: inside a test case's transaction, without Kafka."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from pytest_django import Settings

from events.errors import Permanent, Transient
from events.event import Event
from events.inbox import batch
from events.models import InboxRecord, OutboxRecord, ParkedDelivery
from events.outbox.publish import publish
from events.routing import Delivery, Routes, on, on_batch, unhandled
from events.testing import Undeliverable, captured_events, deliver, deliver_pending
from tests.integration.batching import group_of, records
from tests.integration.counting import Counted

pytestmark = pytest.mark.django_db


class Echoed(Counted, frozen=True, kw_only=True):
    """What the handler publishes in answer."""

    type = "test.echoed"


@pytest.fixture
def calls() -> list[tuple[Event, UUID]]:
    return []


@pytest.fixture
def routes(calls: list[tuple[Event, UUID]]) -> Routes:
    def echo(event: Counted, delivery: Delivery) -> None:
        calls.append((event, delivery.event_id))
        publish(Echoed(name=event.name, n=event.n))

    def note(event: Echoed, delivery: Delivery) -> None:
        calls.append((event, delivery.event_id))

    return Routes(on(Counted, echo, name="echo"), on(Echoed, note, name="note"))


def published(n: Any) -> None:
    with transaction.atomic():
        publish(Counted(name="ann", n=n))


def refuse(_: Counted, __: Delivery) -> None:
    raise Permanent("no")


def test_captured_events_are_those_published_in_the_block(routes: Routes) -> None:
    published(1)
    with captured_events(routes=routes) as events:
        published(2)
        published(3)
    assert events == [Counted(name="ann", n=2), Counted(name="ann", n=3)]


def test_pending_events_reach_their_handlers_once_and_so_does_what_these_publish(
    routes: Routes, calls: list[tuple[Event, UUID]]
) -> None:
    published(1)
    deliver_pending(routes=routes)
    deliver_pending(routes=routes)
    assert [event for event, _ in calls] == [Counted(name="ann", n=1), Echoed(name="ann", n=1)]
    assert InboxRecord.objects.count() == 2


def test_one_event_can_be_delivered_and_delivered_again(routes: Routes, calls: list[tuple[Event, UUID]]) -> None:
    event = Counted(name="ann", n=1)
    event_id = deliver(event, routes=routes)
    deliver(event, event_id=event_id, routes=routes)
    assert calls == [(event, event_id)]


def test_what_a_handler_raises_reaches_the_test_and_its_writes_are_undone() -> None:
    def fail(_: Counted, __: Delivery) -> None:
        with connection.cursor() as cursor:
            cursor.execute("create table left_behind ()")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        deliver(Counted(name="ann", n=1), routes=Routes(on(Counted, fail, name="fail")))
    assert "left_behind" not in connection.introspection.table_names()


def test_an_event_that_nothing_handles_is_delivered_to_nobody() -> None:
    deliver(Counted(name="ann", n=1), routes=Routes(unhandled(Counted, because="a test")))
    assert InboxRecord.objects.count() == 1


def test_a_dead_letters_copy_is_neither_captured_nor_delivered(routes: Routes, calls: list[tuple[Event, UUID]]) -> None:
    with captured_events(routes=routes) as events:
        batch.handle(records(1), group_of(on(Counted, refuse, name="refuse")))

    assert OutboxRecord.objects.get().topic == "user.events.dlq"
    deliver_pending(routes=routes)
    assert (events, calls) == ([], [])


def test_a_failing_delivery_leaves_nothing_behind_so_it_can_be_made_again(
    routes: Routes, calls: list[tuple[Event, UUID]]
) -> None:
    published(1)
    for _ in range(2):
        with pytest.raises(Permanent, match="no"):
            deliver_pending(routes=Routes(on(Counted, refuse, name="refuse")))

    assert (InboxRecord.objects.count(), ParkedDelivery.objects.count(), OutboxRecord.objects.count()) == (0, 0, 1)
    deliver_pending(routes=routes)
    assert len(calls) == 2


@pytest.mark.django_db(transaction=True)
def test_so_does_one_without_a_test_cases_transaction() -> None:
    published(1)
    with pytest.raises(Permanent):
        deliver_pending(routes=Routes(on(Counted, refuse, name="refuse")))

    assert (InboxRecord.objects.count(), ParkedDelivery.objects.count(), OutboxRecord.objects.count()) == (0, 0, 1)


def test_an_error_of_the_database_and_one_of_another_part_reach_the_test_as_they_were_raised() -> None:
    def twice(_: Counted, __: Delivery) -> None:
        InboxRecord.objects.bulk_create([InboxRecord(group="a", event_id=UUID(int=1))] * 2)

    def away(_: Counted, __: Delivery) -> None:
        raise Transient("the shop is closed")

    with pytest.raises(IntegrityError) as raised:
        deliver(Counted(name="ann", n=1), routes=Routes(on(Counted, twice, name="twice")))
    assert raised.value.__cause__ is not None
    with pytest.raises(Transient, match="the shop is closed"):
        deliver(Counted(name="ann", n=1), routes=Routes(on(Counted, away, name="away")))


def test_a_batch_handler_gets_what_is_pending_as_a_consumer_would_give_it(settings: Settings) -> None:
    settings.EVENTS = {**settings.EVENTS, "CONSUMER_BATCH": 2}
    batches: list[list[int]] = []

    def note(events: Sequence[tuple[Counted, Delivery]]) -> None:
        batches.append([event.n for event, _ in events])

    for n in range(3):
        published(n)
    deliver_pending(routes=Routes(on_batch(Counted, note, name="note")))
    assert batches == [[0, 1], [2]]


def test_what_no_consumer_could_read_is_told(routes: Routes) -> None:
    with pytest.raises(Undeliverable, match="data-invalid"), captured_events(routes=routes):
        published("one")
    with pytest.raises(Undeliverable, match="data-invalid"):
        deliver_pending(routes=routes)
    with pytest.raises(Undeliverable, match="data-invalid"):
        deliver(Counted(name="ann", n="one"), routes=routes)  # type: ignore[arg-type]  # as a careless caller


def test_a_type_that_is_not_routed_is_told_and_skipped_where_others_are_pending_too(routes: Routes) -> None:
    alone = Routes(on(Echoed, lambda event, delivery: None, name="note"))
    with pytest.raises(Undeliverable, match=r"^test\.counted has no entry in the routes$"):
        deliver(Counted(name="ann", n=1), routes=alone)
    with pytest.raises(Undeliverable, match=r"^test\.counted has no entry"), captured_events(routes=alone):
        published(1)

    deliver_pending(routes=alone)
    assert InboxRecord.objects.count() == 0


def test_an_event_that_would_wait_behind_a_parked_one_is_told(routes: Routes, settings: Settings) -> None:
    batch.handle(records(1), group_of(on(Counted, refuse, name="echo"), name=settings.EVENTS["GROUP"]))
    with pytest.raises(Undeliverable, match="waits behind a parked delivery"):
        deliver(Counted(name="ann", n=2), routes=routes)


def test_what_only_a_commit_would_refuse_is_raised_at_once() -> None:
    def write_orphan(_: Counted, __: Delivery) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "create temp table parent (id int primary key);"
                "create temp table child (id int references parent deferrable initially deferred);"
                "insert into child values (1)"
            )

    with pytest.raises(IntegrityError, match="child"):
        deliver(Counted(name="ann", n=1), routes=Routes(on(Counted, write_orphan, name="write-orphan")))


def test_an_event_that_stands_twice_in_the_outbox_is_handled_once(
    routes: Routes, calls: list[tuple[Event, UUID]]
) -> None:
    published(1)
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into events_outbox (event_id, topic, key, shard, type, headers, value) "
            "select event_id, topic, key, shard, type, headers, value from events_outbox"
        )
    deliver_pending(routes=routes)
    assert [type(event) for event, _ in calls] == [Counted, Echoed]
