"""Batches for tests that need no broker: records made up, handled in this process, and what is set aside of them."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from select import select
from typing import Any

from django.db import connection, connections

from events.inbox import batch, retries
from events.inbox.batch import Progress
from events.inbox.group import Group
from events.kafka import Record
from events.models import ParkedDelivery
from events.routing import Delivery, Route, Routes, on
from tests.integration.counting import Counted, leave_row, raw
from tests.integration.raw_records import Raw
from tests.waiting import wait_for

GROUP = "test"
TIMESTAMP_MS = 1_795_000_000_000
LIMIT_S = 20.0

Handler = Callable[[Counted, Delivery], None]
Events = Sequence[tuple[Counted, Delivery]]


def record(source: Raw, offset: int = 0, partition: int = 0) -> Record:
    return Record("user.events", partition, offset, TIMESTAMP_MS, source.key, source.headers, source.value)


def records(count: int, *, partition: int = 0, name: str = "ann") -> list[Record]:
    return [record(raw(n, name), n, partition) for n in range(count)]


def records_of(names: Iterable[str]) -> list[Record]:
    """One event each, numbered from 0."""
    return [record(raw(n, name), n) for n, name in enumerate(names)]


def group_of(*routes: Route, name: str = GROUP) -> Group:
    return Group(name=name, routes=Routes(*routes))


def handle(polled: list[Record], handler: Handler = leave_row, *, carefully: bool = False) -> Progress:
    return batch.handle(polled, group_of(on(Counted, handler, name="tested")), carefully=carefully)


def failing_on(n: int, how: Callable[[], object]) -> Handler:
    def handler(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        if event.n == n:
            how()

    return handler


def refuse() -> None:
    raise ValueError("no")


class Refusing:
    """Leaves a row of each event, but of those in `guilty`; these may be changed, and calls are kept."""

    def __init__(self, *guilty: int, error: Exception | None = None) -> None:
        self.guilty = set(guilty)
        self.error = error or ValueError("no")
        self.calls: list[int] = []

    def __call__(self, event: Counted, delivery: Delivery) -> None:
        self.calls.append(event.n)
        leave_row(event, delivery)
        if event.n in self.guilty:
            raise self.error


class RefusingBatches:
    """The same for batches, in one statement a call."""

    def __init__(self, *guilty: int) -> None:
        self.guilty = set(guilty)
        self.calls: list[list[int]] = []

    def __call__(self, events: Events) -> None:
        numbers = [event.n for event, _ in events]
        self.calls.append(numbers)
        leave_rows(events)
        if self.guilty & set(numbers):
            refuse()


def leave_rows(events: Events) -> None:
    """As `leave_row`, for a batch: one statement."""
    columns: list[Any] = [
        [str(delivery.event_id) for _, delivery in events],
        [delivery.handler for _, delivery in events],
        [event.name for event, _ in events],
        [event.n for event, _ in events],
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into effects (event_id, handler, name, n, pid)"
            " select event_id, handler, name, n, 0 from unnest(%s::uuid[], %s::text[], %s::text[], %s::int[])"
            " with ordinality as left_of(event_id, handler, name, n, place) order by place",
            columns,
        )


def effects_of(handler: str) -> list[tuple[str, int]]:
    """(name, n) of each effect of a handler, in the order they were written."""
    with connection.cursor() as cursor:
        cursor.execute("select name, n from effects where handler = %s order by id", [handler])
        return [(name, n) for name, n in cursor.fetchall()]


def waiting() -> list[tuple[str, int, bool]]:
    """Key, offset and whether it has a time of its own, of each parked delivery."""
    parked = ParkedDelivery.objects.order_by("id")
    return [(bytes(one.key or b"").decode(), one.offset, one.next_attempt_at is not None) for one in parked]


def make_due() -> None:
    """What has a time has it now."""
    with connection.cursor() as cursor:
        cursor.execute("update events_parked set next_attempt_at = now() where next_attempt_at is not null")


def retry(group: Group, *, times: int = 1) -> None:
    """So many rounds, in each of which everything that has a time is tried, and nothing is away."""
    for _ in range(times):
        make_due()
        assert retries.retry_due(group, within_s=LIMIT_S) is None


# Two sessions --------------------------------------------------------------------------------------------------


@contextmanager
def beside(work: Callable[[], Any]) -> Iterator[Future[Any]]:
    """`work` runs in a thread, on a connection of its own, while the block does; its error is raised at the end."""

    def run() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(run)
        yield future
        future.result(LIMIT_S)


class Gate:
    """Where a handler stops until the test lets it through."""

    def __init__(self) -> None:
        self._is_reached, self._is_open = threading.Event(), threading.Event()

    def stop_here(self) -> None:
        self._is_reached.set()
        assert self._is_open.wait(LIMIT_S)

    def wait_until_reached(self) -> None:
        assert self._is_reached.wait(LIMIT_S)

    def open(self) -> None:
        self._is_open.set()


def oversleep() -> None:
    """Until PostgreSQL has ended this connection's session, and with it the transaction; nothing here has noticed."""
    with connection.cursor() as cursor:
        cursor.execute("set local idle_in_transaction_session_timeout = '50ms'")
    assert select([connection.connection.pgconn.socket], [], [], LIMIT_S)[0]


def wait_for_a_blocked_session() -> None:
    """Until some session of this database waits for another one's lock."""
    wait_for(_is_some_session_blocked, within_s=LIMIT_S)


def _is_some_session_blocked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "select exists (select from pg_stat_activity where datname = current_database()"
            " and cardinality(pg_blocking_pids(pid)) > 0)"
        )
        return bool(cursor.fetchone()[0])


def swallow_an_error() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1 / 0")
    except Exception:  # noqa: BLE001, S110 - the handler under test is a bad one
        pass
