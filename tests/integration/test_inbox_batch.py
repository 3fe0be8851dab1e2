"""A batch of records: everything of it in one transaction, or nothing; what fails stays, the rest goes on."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import close_old_connections, connection, transaction
from uuid_utils.compat import uuid7

from events.errors import Transient
from events.inbox import batch, store
from events.inbox.batch import Progress
from events.inbox.group import Group
from events.kafka import Record
from events.models import InboxRecord, OutboxRecord, ParkedDelivery
from events.outbox.publish import publish
from events.routing import Delivery, on
from events.trace import current_trace_id
from tests.integration.batching import (
    GROUP,
    failing_on,
    group_of,
    handle,
    record,
    records,
    refuse,
    swallow_an_error,
    waiting,
)
from tests.integration.counting import ROUTES, Counted, leave_row, raw, rows
from tests.integration.raw_records import Raw

pytestmark = pytest.mark.usefixtures("effects")


def test_a_handlers_writes_and_the_inbox_record_commit_together() -> None:
    progress = handle(records(3))
    assert progress == Progress(settled={("user.events", 0): 3})
    assert rows() == [("ann", 0), ("ann", 1), ("ann", 2)]
    assert InboxRecord.objects.filter(group=GROUP).count() == 3


def test_a_failing_handler_leaves_no_writes_and_its_delivery_is_parked() -> None:
    progress = handle(records(1), failing_on(0, refuse))
    assert progress == Progress(settled={("user.events", 0): 1}, had_failures=True)
    assert rows() == []
    assert InboxRecord.objects.count() == 1
    parked = ParkedDelivery.objects.get()
    assert (parked.handler, parked.reason, parked.attempts, parked.dead_at) == ("tested", "failed: ValueError", 1, None)
    assert parked.next_attempt_at is not None
    assert "ValueError: no" in parked.error


def test_a_failing_handler_keeps_the_others_of_its_event_from_nothing() -> None:
    routes = on(Counted, leave_row, name="good"), on(Counted, failing_on(0, refuse), name="bad")
    batch.handle(records(1), group_of(*routes))
    assert rows() == [("ann", 0)]
    assert ParkedDelivery.objects.get().handler == "bad"


def test_later_events_of_the_key_wait_behind_a_failed_one_and_nothing_else_does() -> None:
    polled = [record(raw(n, name), n) for n, name in enumerate(("ann", "ann", "bob", "ann"))]
    assert handle(polled, failing_on(1, refuse)).settled == {("user.events", 0): 4}
    assert rows() == [("ann", 0), ("bob", 2)]
    assert waiting() == [("ann", 1, True), ("ann", 3, False)]
    assert handle([record(raw(4), 4), record(raw(5, "bob"), 5)]).settled == {("user.events", 0): 6}
    assert rows() == [("ann", 0), ("bob", 2), ("bob", 5)]
    assert waiting() == [("ann", 1, True), ("ann", 3, False), ("ann", 4, False)]


def test_a_repeated_event_has_one_effect_within_a_batch_and_across_batches() -> None:
    event_id = uuid7()
    twice = [record(raw(1, event_id=event_id), offset) for offset in (0, 1)]
    assert handle(twice).settled == {("user.events", 0): 2}
    assert handle(twice).settled == {("user.events", 0): 2}
    assert rows() == [("ann", 1)]


def test_each_group_handles_an_event_for_itself() -> None:
    polled = records(1)
    for group in ("one", "two", "one"):
        batch.handle(polled, Group(name=group, routes=ROUTES))
    assert rows() == [("ann", 0), ("ann", 0)]


@pytest.fixture
def late(effects: None) -> Iterator[None]:
    """The effects' numbers must differ; PostgreSQL looks at the commit."""
    with connection.cursor() as cursor:
        cursor.execute("alter table effects add constraint late unique (n) deferrable initially deferred")
        yield
        cursor.execute("alter table effects drop constraint late")


@pytest.mark.usefixtures("late")
def test_a_fault_that_would_show_at_the_commit_holds_back_its_own_event_alone(caplog: pytest.LogCaptureFixture) -> None:
    polled = [record(raw(n, name), partition=n) for n, name in ((7, "ann"), (7, "bob"), (8, "ann"))]
    progress = handle(polled)
    assert progress.unsettled == {}
    assert rows() == [("ann", 7), ("ann", 8)]
    assert [line.handler for line in caplog.records if line.message == "delivery failed"] == ["tested"]  # type: ignore[attr-defined]  # extra


def undo_quietly() -> None:
    transaction.set_rollback(True)


@pytest.mark.parametrize("how", [swallow_an_error, undo_quietly])
def test_a_handler_that_broke_its_transaction_quietly_has_failed(how: Callable[[], object]) -> None:
    polled = [record(raw(n, name)) for n, name in enumerate(("ann", "bob", "cid", "dot"))]
    handle(polled, failing_on(2, how))
    assert rows() == [("ann", 0), ("bob", 1), ("dot", 3)]
    assert waiting() == [("cid", 0, True)]


def test_what_a_handler_left_for_after_the_commit_may_fail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    progress = handle(records(2), failing_on(0, lambda: transaction.on_commit(refuse)))
    assert progress == Progress(settled={("user.events", 0): 2})
    assert rows() == [("ann", 0), ("ann", 1)]
    assert "not settled" in caplog.messages


def test_a_part_that_is_away_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    def away() -> None:
        raise Transient("cache")

    progress = handle([record(raw(n), partition=n) for n in range(3)], failing_on(1, away))
    assert progress.settled == {}
    assert progress.unsettled == {("user.events", 0): 0, ("user.events", 1): 0, ("user.events", 2): 0}
    assert progress.away is not None
    assert progress.away.part == "tested"
    assert "delivery failed" not in caplog.messages


def test_a_lost_session_is_an_outage() -> None:
    def lose_it() -> None:
        with connection.cursor() as cursor:
            cursor.execute("select pg_terminate_backend(pg_backend_pid())")

    progress = handle(records(2), failing_on(1, lose_it))
    assert progress.away is not None
    assert progress.away.part == "database"
    assert progress.unsettled == {("user.events", 0): 0}
    close_old_connections()
    assert handle(records(2)).unsettled == {}


def test_events_published_by_handlers_in_any_order_of_keys_go_out(caplog: pytest.LogCaptureFixture) -> None:
    def announce(event: Counted, _: Delivery) -> None:
        publish(Counted(name=event.name, n=event.n + 100))

    assert handle([record(raw(1, "zoe"), 0), record(raw(2, "ann"), 1)], announce).settled == {("user.events", 0): 2}
    assert sorted(OutboxRecord.objects.values_list("key", flat=True)) == ["ann", "zoe"]
    assert "delivery failed" not in caplog.messages


def test_a_handler_works_under_the_events_trace() -> None:
    seen = []
    handle(records(1), lambda *_: seen.append(current_trace_id()))
    assert seen == ["0af7651916cd43dd8448eb211c80319c"]
    assert current_trace_id() is None


def test_a_handler_is_told_id_name_and_time_of_the_event() -> None:
    seen: list[Delivery] = []
    event_id = uuid7()
    handle([record(raw(1, event_id=event_id))], lambda _, delivery: seen.append(delivery))
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert seen == [Delivery(event_id, "tested", datetime(2026, 11, 24, tzinfo=UTC), trace)]
    assert seen[0].key == f"{event_id}/tested"


def changed(**headers: bytes | None) -> Raw:
    good = raw(1)
    merged = {**dict(good.headers), **{name.replace("__", "-"): value for name, value in headers.items()}}
    kept = tuple((name, value) for name, value in merged.items() if value is not None)
    return Raw(good.key, good.value, kept)


def with_value(value: bytes | None) -> Raw:
    return Raw(raw(1).key, value, raw(1).headers)


UNREADABLE = {
    "unreadable: ce_specversion is not 1.0": Raw(),
    "unreadable: header ce_id is missing": changed(ce_id=None),
    "unreadable: ce_id is not a UUID of version 7": changed(ce_id=b"7b1c1f1e-0000-4000-8000-000000000000"),
    "unreadable: header ce_type is not UTF-8 text": changed(ce_type=b"\xff"),
    "unreadable: header a\ufffdb is not UTF-8 text": Raw(headers=(("a\0b", b"\xff"),)),
    "unreadable: the record key is not ce_subject": Raw(b"bob", b"{}", raw(1).headers),
    "unreadable: the record has no value": with_value(None),
    "version-unknown: 2": changed(ce_dataschema=b"https://tests.example/schemas/test.counted/2"),
    "data-invalid: value": with_value(b'{"name": "ann", "n": "one"}'),
    "data-invalid: nested too deep": with_value(b'{"name": "ann", "n": 1, "more": ' + b"[" * 200_000),
    "too-large: value": with_value(json.dumps({"name": "x" * 1_000_000, "n": 1}).encode()),
}


@pytest.mark.parametrize(("reason", "source"), UNREADABLE.items())
def test_what_can_never_be_read_is_kept_as_a_dead_letter_and_the_next_one_handled(reason: str, source: Raw) -> None:
    polled = [record(source, 5), record(raw(6), 6)]
    assert handle(polled) == Progress(settled={("user.events", 0): 7})
    letter = ParkedDelivery.objects.get()
    assert (letter.reason, letter.handler, letter.group, letter.topic, letter.partition, letter.offset) == (
        reason, "", GROUP, "user.events", 0, 5,
    )  # fmt: skip
    assert (letter.key, letter.value) == (source.key, source.value)
    assert letter.dead_at is not None
    assert letter.recorded_at == datetime(2026, 11, 18, 11, 6, 40, tzinfo=UTC)
    assert rows() == [("ann", 6)]


def test_a_dead_letter_comes_once_however_often_its_record_does(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        assert handle([record(Raw(), 5)]).unsettled == {}
    assert ParkedDelivery.objects.count() == 1
    assert caplog.messages.count("dead letter") == 1


def test_the_headers_of_a_dead_letter_are_kept_byte_for_byte() -> None:
    handle([record(Raw(headers=(("x", b"\x00\xff"), ("x", b""))))])
    assert json.loads(bytes(ParkedDelivery.objects.get().headers)) == [["x", "AP8="], ["x", ""]]


@pytest.mark.parametrize("timestamp_ms", [-1, 2**62])
def test_any_timestamp_can_be_kept(timestamp_ms: int) -> None:
    handle([Record("user.events", 0, 0, timestamp_ms, None, (), None)])
    assert ParkedDelivery.objects.count() == 1


def test_an_unknown_type_is_skipped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    assert handle([record(changed(ce_type=b"test.newer"), 0), record(raw(1), 1)]).settled == {("user.events", 0): 2}
    assert rows() == [("ann", 1)]
    assert "unknown type skipped" in caplog.messages
    assert ParkedDelivery.objects.count() == 0


def test_members_that_overlap_neither_deadlock_nor_double() -> None:
    event_ids = [uuid7() for _ in range(20_000)]
    both = threading.Barrier(2)
    new: list[set[UUID]] = []

    def receive(ids: Sequence[UUID]) -> None:
        both.wait(10)
        with transaction.atomic():
            new.append(set(store.receive(group=GROUP, event_ids=ids)))
        connection.close()

    with ThreadPoolExecutor(2) as members:
        list(members.map(receive, (event_ids, event_ids[::-1])))
    assert sorted(new, key=len) == [set(), set(event_ids)]
