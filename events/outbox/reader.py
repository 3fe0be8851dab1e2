"""What to send next: the lowest pending records, without those on their way and those of keys that are held back.

`relay` takes from here what it sends and tells what became of it. Within a key ids follow commit order (see
`publish`), so the lowest ids of one snapshot are always a key's next ones; a cursor that only went forward would
miss the records of transactions that commit late.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Self

from events.outbox import store
from events.outbox.store import OrderKey, Pending


class Reader:
    """Reads ahead into a queue. A record is taken from its reading until it is marked, dropped, or all starts over."""

    def __init__(self) -> None:
        self._queue: deque[Pending] = deque()
        self._taken: set[int] = set()
        self._suspects: set[int] = set()
        self._held_until: dict[OrderKey, float] = {}

    @classmethod
    def after(cls, acknowledged: Collection[int]) -> Self:
        """What another relay, or an earlier life of this one, held back stays so. Raises DatabaseAway."""
        reader = cls()
        reader.start_over(keep=acknowledged)
        for key, wait_s in store.held_back().items():
            reader.hold_back(key, wait_s=wait_s)
        return reader

    def read(self, limit: int) -> None:
        """Fill the queue where it is empty. Raises DatabaseAway."""
        if self._queue:
            return
        now = time.monotonic()
        self._held_until = {key: until for key, until in self._held_until.items() if until > now}
        self._queue.extend(store.pending(limit=limit, taken=self._taken, held=self._held_until))
        self._taken.update(record.id for record in self._queue)

    @property
    def taken(self) -> int:
        """How many records are queued, on their way or acknowledged but not yet marked."""
        return len(self._taken)

    @property
    def next(self) -> Pending | None:
        """The first of the queue."""
        return self._queue[0] if self._queue else None

    def pop(self) -> None:
        """The first of the queue is on its way."""
        self._queue.popleft()

    def must_go_alone(self, record: Pending) -> bool:
        """Whether it failed before, or beside others, so that its next failure must be its own without doubt."""
        return record.attempts > 0 or record.id in self._suspects

    def suspect(self, records: Iterable[Pending]) -> None:
        """One of these is to blame for a failure of them all."""
        self._suspects.update(record.id for record in records)

    def hold_back(self, key: OrderKey, *, wait_s: float) -> None:
        """Read nothing of this key until then; what was read of it goes back."""
        self._held_until[key] = time.monotonic() + wait_s
        self._put_back(lambda record: record.order_key == key)

    def drop(self, record: Pending) -> None:
        """It will not be sent any more."""
        self._put_back(lambda queued: queued.id == record.id)
        self.forget([record.id])

    def forget(self, ids: Iterable[int]) -> None:
        """These are settled in the database."""
        self._taken.difference_update(ids)
        self._suspects.difference_update(ids)

    def start_over(self, *, keep: Collection[int]) -> None:
        """Read again from the lowest, but for `keep`: acknowledged and not yet marked."""
        self._queue.clear()
        self._taken = set(keep)

    def _put_back(self, is_meant: Callable[[Pending], bool]) -> None:
        meant = {record.id for record in self._queue if is_meant(record)}
        self._queue = deque(record for record in self._queue if record.id not in meant)
        self._taken -= meant
