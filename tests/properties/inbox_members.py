"""A log of records, and two members of a group that read it, each on a connection of its own.

No broker: what a poll would bring is cut out of the log, and a position that was not committed is forgotten.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal
from uuid import UUID

from django.db import close_old_connections, connection, connections

from events.kafka import Record
from tests.integration.batching import LIMIT_S, Gate, record
from tests.integration.counting import raw
from tests.integration.raw_records import Raw
from tests.properties.faulty_handlers import stop_this_thread_at
from tests.waiting import wait_for

KEYS = {"ann": 0, "bob": 1, "cid": 0}  # and their partitions
PARTITIONS = sorted(set(KEYS.values()))

Commit = Literal["well", "lost", "unheard"]

_BLOCKED = """
select exists (select from pg_stat_activity
    where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0)
"""


class Log:
    """What Kafka keeps."""

    def __init__(self) -> None:
        self._records: dict[int, list[Record]] = {partition: [] for partition in PARTITIONS}

    def append(self, name: str, source: Raw) -> None:
        partition = KEYS[name]
        self._records[partition].append(record(source, len(self._records[partition]), partition))

    def append_event(self, name: str, n: int, event_id: UUID) -> None:
        self.append(name, raw(n, name, event_id=event_id))

    def cut(self, positions: dict[int, int], most: int) -> list[Record]:
        """So many of each partition, one partition after the other."""
        return [
            one for partition, position in positions.items()
            for one in self._records[partition][position : position + most]
        ]  # fmt: skip

    def is_end(self, positions: dict[int, int]) -> bool:
        return not self.cut(positions, 1)


class Member:
    """A thread whose session lives as long as it does, unless it is lost."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)

    def run(self, work: Callable[[], Any], *, commit: Commit = "well") -> Any:
        return self.begin(work, commit=commit).result(LIMIT_S)

    def begin(self, work: Callable[[], Any], *, gate: Gate | None = None, commit: Commit = "well") -> Future[Any]:
        return self._thread.submit(_work, work, gate, commit)

    def close(self) -> None:
        self._thread.submit(connections.close_all).result(LIMIT_S)
        self._thread.shutdown()


@contextmanager
def two_members() -> Iterator[Sequence[Member]]:
    """Nothing here asks what a crash of the server would leave, so no commit waits for the disk."""
    options: dict[str, Any] = connection.settings_dict["OPTIONS"]
    before = options["options"]
    options["options"] = before + " -c synchronous_commit=off"
    connection.close()
    both = Member(), Member()
    try:
        yield both
    finally:
        for member in both:
            member.close()
        options["options"] = before
        connection.close()


def interleaved(first: tuple[Member, Callable[[], Any]], second: tuple[Member, Callable[[], Any]]) -> Sequence[Any]:
    """The second begins while the first is in a handler, and comes as far as it can; gives what both came to."""
    gate = Gate()
    ahead = first[0].begin(first[1], gate=gate)
    try:
        gate.wait_until_reached()
        behind = second[0].begin(second[1])
        wait_for(lambda: behind.done() or _is_one_blocked(), within_s=LIMIT_S)
    finally:
        gate.open()
    return ahead.result(LIMIT_S), behind.result(LIMIT_S)


def _work(work: Callable[[], Any], gate: Gate | None, commit: Commit) -> Any:
    close_old_connections()
    stop_this_thread_at(gate)
    connection.ensure_connection()
    opened: Any = connection.connection
    if commit != "well":
        opened.commit = lambda: _end_session_at_commit(opened, commit)
    try:
        return work()
    finally:
        opened.__dict__.pop("commit", None)
        if gate:  # were no handler called
            gate.open()
            gate.stop_here()


def _end_session_at_commit(opened: Any, commit: Commit) -> None:
    """Just before it, or when the server has done it and nobody has heard."""
    if commit == "unheard":
        type(opened).commit(opened)
    opened.execute("select pg_terminate_backend(pg_backend_pid())")


def _is_one_blocked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_BLOCKED)
        return bool(cursor.fetchone()[0])
