"""Marking in a thread of its own, many records a statement, while the next ones are on their way.

`pipeline` owes here what Kafka acknowledged. What is owed outlives every session with the database: it is marked
again until that succeeds, and never sent again by this process.
"""

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from events.outbox import store
from events.outbox.session import Session
from events.outbox.store import Mark

_AT_ONCE = 1_000  # a statement for so many, or for what is owed for so long
_WITHIN_S = 0.05


class Marked(NamedTuple):
    """One statement's work: the ids, the highest id read before it began, and its transaction's number."""

    ids: list[int]
    high: int
    number: int


class Marker:
    """At most one statement at a time; acknowledgements gather meanwhile."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="marker")
        self._owed: dict[int, Mark] = {}
        self._owed_since = 0.0
        self._underway: Future[Marked] | None = None
        self._of_it: dict[int, Mark] = {}

    @property
    def ids(self) -> set[int]:
        """What is acknowledged and not known to be marked."""
        return self._owed.keys() | self._of_it.keys()

    @property
    def count(self) -> int:
        """How many these are."""
        return len(self._owed) + len(self._of_it)

    @property
    def shards(self) -> set[int]:
        """And their shards."""
        return {mark.shard for marks in (self._owed, self._of_it) for mark in marks.values()}

    def owe(self, marks: Iterable[Mark]) -> None:
        """Kafka acknowledged these."""
        if not self._owed:
            self._owed_since = time.monotonic()
        self._owed.update((mark.id, mark) for mark in marks)

    def advance(self, *, high: int, at_once: bool) -> Marked | None:
        """Give what a statement has done since the last time, and begin the next one where it is worth it.

        `high` is the reader's. Raises DatabaseAway: what it would have marked is owed again.
        """
        done = self._finish()
        if self._owed and self._underway is None and (at_once or self._is_worth_it()):
            self._of_it, self._owed = self._owed, {}
            self._underway = self._thread.submit(self._mark, list(self._of_it.values()), high)
        return done

    def wait(self, seconds: float) -> None:
        """Wait at most so long for the statement that is under way."""
        if self._underway is not None:
            wait([self._underway], seconds)

    def close(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False)
        self._session.close()

    def _finish(self) -> Marked | None:
        if self._underway is None or not self._underway.done():
            return None
        underway, of_it = self._underway, self._of_it
        self._underway, self._of_it = None, {}
        if underway.exception() is not None:
            self._owed = of_it | self._owed
        return underway.result()

    def _is_worth_it(self) -> bool:
        return len(self._owed) >= _AT_ONCE or time.monotonic() - self._owed_since > _WITHIN_S

    def _mark(self, marks: list[Mark], high: int) -> Marked:
        return Marked([mark.id for mark in marks], high, store.mark(self._session, marks))
