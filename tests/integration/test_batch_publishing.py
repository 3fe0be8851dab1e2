"""Events that handlers publish: written last and sorted, with the batch or not at all."""

import pytest
from django.db import connection

from events.inbox import batch
from events.models import OutboxRecord, ParkedDelivery
from events.outbox.publish import publish, publish_all
from events.routing import Delivery, on, on_batch
from tests.integration.batching import Events, Handler, group_of, handle, records_of, refuse, retry, waiting
from tests.integration.counting import Counted, leave_row, rows
from tests.integration.relaying import Elsewhere, Noted

pytestmark = pytest.mark.usefixtures("effects")

BOTH = pytest.mark.parametrize("carefully", [False, True], ids=["at first", "where failures are expected"])


class Changed(Noted, frozen=True, kw_only=True):
    """It announces the change of a row."""

    type = "test.changed"
    stream = "test.rows"

    @property
    def stream_version(self) -> int | None:
        return self.n


def outbox() -> list[tuple[str, str]]:
    """Topic and key of what is to be sent, in that order."""
    return list(OutboxRecord.objects.order_by("id").values_list("topic", "key"))


@BOTH
def test_what_is_published_is_written_last_and_sorted_whatever_the_order_of_the_handlers(*, carefully: bool) -> None:
    seen: list[int] = []

    def handler(event: Counted, _: Delivery) -> None:
        seen.append(OutboxRecord.objects.count())
        publish(Noted(of=event.name, n=event.n))
        publish(Elsewhere(of=event.name, n=event.n))

    handle(records_of(["zoe", "ann", "zoe", "bob"]), handler, carefully=carefully)
    assert seen == [0, 0, 0, 0]
    assert waiting() == []
    analytics, events = "user.analytics", "user.events"
    assert outbox() == [
        (analytics, "ann"), (analytics, "bob"), (analytics, "zoe"), (analytics, "zoe"),
        (events, "ann"), (events, "bob"), (events, "zoe"), (events, "zoe"),
    ]  # fmt: skip
    of_zoe = OutboxRecord.objects.filter(topic=events, key="zoe").order_by("id")
    assert [Noted.from_json(bytes(record.value)).n for record in of_zoe] == [0, 2]


@BOTH
@pytest.mark.parametrize("published", [Noted, Elsewhere, Changed])
def test_what_a_failed_delivery_published_is_never_written(published: type[Noted], *, carefully: bool) -> None:
    def handler(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        publish(published(of=event.name, n=event.n))
        if event.n == 1:
            refuse()

    handle(records_of(["ann", "bob", "cid"]), handler, carefully=carefully)
    assert [key for _, key in outbox()] == ["ann", "cid"]
    assert waiting() == [("bob", 1, True)]


def test_what_a_failing_part_of_a_batch_published_is_never_written() -> None:
    def handler(events: Events) -> None:
        publish_all(Noted(of=event.name, n=event.n) for event, _ in events)
        if any(event.n == 1 for event, _ in events):
            refuse()

    batch.handle(records_of(["ann", "bob", "cid"]), group_of(on_batch(Counted, handler, name="batched")))
    assert [key for _, key in outbox()] == ["ann", "cid"]


def test_what_a_retry_publishes_is_written_once_it_succeeds() -> None:
    is_well = False

    def handler(event: Counted, _: Delivery) -> None:
        publish_all([Noted(of="zoe", n=event.n), Noted(of="ann", n=event.n)])
        if not is_well:
            refuse()

    group = group_of(on(Counted, handler, name="tested"))
    batch.handle(records_of(["ann"]), group)
    retry(group)
    assert outbox() == []
    is_well = True
    retry(group)
    assert [key for _, key in outbox()] == ["ann", "zoe"]


# Too many keys at once -----------------------------------------------------------------------------------------


@pytest.fixture
def few_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten in a transaction, rather than a thousand: writing those would take long."""
    monkeypatch.setattr("events.outbox.publish.KEYS_MOST", 10)


def publishing(counts: dict[int, int], *, kind: type[Noted] = Noted) -> Handler:
    """So many keys of its own at each of these events."""

    def handler(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        publish_all(kind(of=f"{event.name}-{n:05}", n=n) for n in range(counts.get(event.n, 0)))

    return handler


@BOTH
def test_a_delivery_that_publishes_to_too_many_keys_fails_alone(*, carefully: bool) -> None:
    handle(records_of(["ann", "bob", "cid"]), publishing({0: 2, 1: 1_001, 2: 2}), carefully=carefully)
    assert rows() == [("ann", 0), ("cid", 2)]
    assert ParkedDelivery.objects.get().reason == "failed: TooManyKeys"
    assert OutboxRecord.objects.count() == 4


@BOTH
@pytest.mark.parametrize("kind", [Noted, Changed], ids=["of no row", "of a row's change"])
@pytest.mark.usefixtures("few_keys")
def test_a_batch_that_publishes_to_too_many_keys_is_split_and_nobody_blamed(
    kind: type[Noted], *, carefully: bool
) -> None:
    handler = publishing({0: 6, 1: 5, 2: 2}, kind=kind)
    progress = handle(records_of(["ann", "bob", "cid"]), handler, carefully=carefully)
    assert progress.settled == {("user.events", 0): 3}
    assert waiting() == []
    assert rows() == [("ann", 0), ("bob", 1), ("cid", 2)]
    assert OutboxRecord.objects.count() == 13


@BOTH
@pytest.mark.parametrize("kind", [Noted, Changed], ids=["of no row", "of a row's change"])
@pytest.mark.usefixtures("few_keys")
def test_two_handlers_of_one_event_that_publish_to_too_many_keys_together_both_get_through(
    kind: type[Noted], *, carefully: bool
) -> None:
    def publish_many(first: int) -> Handler:
        def handler(_: Counted, __: Delivery) -> None:
            publish_all(kind(of=f"many-{n:05}", n=n) for n in range(first, first + 6))

        return handler

    routes = on(Counted, publish_many(0), name="one"), on(Counted, publish_many(6), name="two")
    group = group_of(*routes)
    progress = batch.handle(records_of(["ann"]), group, carefully=carefully)
    assert progress.settled == {("user.events", 0): 1}
    retry(group)
    assert waiting() == []
    assert OutboxRecord.objects.count() == 12


@BOTH
def test_an_event_that_the_outbox_refuses_holds_back_its_own_delivery_alone(*, carefully: bool) -> None:
    def handler(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        publish(Noted(of="a\0b" if event.n == 1 else event.name, n=event.n))

    progress = handle(records_of(["ann", "bob", "cid"]), handler, carefully=carefully)
    assert progress.settled == {("user.events", 0): 3}
    assert rows() == [("ann", 0), ("cid", 2)]
    assert waiting() == [("bob", 1, True)]
    retry(group_of(on(Counted, handler, name="tested")))
    assert ParkedDelivery.objects.get().attempts == 2
    assert [key for _, key in outbox()] == ["ann", "cid"]


@pytest.mark.usefixtures("few_keys")
def test_a_batch_handler_may_publish_to_many_keys_in_all() -> None:
    def handler(events: Events) -> None:
        publish_all(Noted(of=f"{event.name}-{n}", n=n) for event, _ in events for n in range(3))

    names = [f"k{n}" for n in range(4)]
    batch.handle(records_of(names), group_of(on_batch(Counted, handler, name="batched")))
    assert waiting() == []
    assert OutboxRecord.objects.count() == 12
    with connection.cursor() as cursor:
        cursor.execute("select count(distinct xid) from events_outbox")
        assert cursor.fetchone() == (2,)
