"""Keys that are held back: Kafka refused their first record, and what comes after it must wait behind it.

`reader` throws away what it reads of such a key, however much that is: here stays only where the key begins. When the
time has come, the key is read from there by itself, first its head alone, before anything newer of it is let through.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass, field

from events.outbox import store
from events.outbox.session import Session
from events.outbox.store import OrderKey, Pending

_IDS_AT_ONCE = 100_000


@dataclass(slots=True)
class _Held:
    shard: int
    head: int
    until: float
    ids: list[int] = field(default_factory=list)  # to be read, the next one last; none while it waits
    after: int = 0  # everything up to this id has been read


class HeldKeys:
    """By key, the id of its first record and when that is due."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._held: dict[OrderKey, _Held] = {}

    def __contains__(self, key: OrderKey) -> bool:
        return key in self._held

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, record: Pending, *, wait_s: float) -> None:
        """Hold the key of this record, its first one, back for so long."""
        self._held[record.order_key] = _Held(record.shard, record.id, time.monotonic() + wait_s, after=record.id - 1)

    def keep(self, shards: Collection[int]) -> None:
        """Those of other shards are another relay's now."""
        self._held = {key: held for key, held in self._held.items() if held.shard in shards}

    def read(self, *, known: Collection[int], limit: int, bytes_most: int) -> list[Pending]:
        """The next records of one key that is due; when there are none left it is free. Raises DatabaseAway.

        A key whose head is among the `known` is not due: it is being tried right now.
        """
        key = self._due(known)
        if key is None:
            return []
        held = self._held[key]
        if not held.ids and not self._look_for(key, held):
            del self._held[key]
            return []
        # The head goes alone: as long as it may be refused again, nothing behind it is worth reading.
        wanted = held.ids[-1:] if held.ids[-1] == held.head else held.ids[-limit:]
        records = store.by_id(self._session, wanted, bytes_most=bytes_most)
        held.after = records[-1].id if records else wanted[0]
        while held.ids and held.ids[-1] <= held.after:
            held.ids.pop()
        return records

    def _due(self, known: Collection[int]) -> OrderKey | None:
        now = time.monotonic()
        due = (key for key, held in self._held.items() if held.until <= now and held.head not in known)
        return next(due, None)

    def _look_for(self, key: OrderKey, held: _Held) -> bool:
        held.ids = store.ids_of_key(self._session, key, after=held.after, limit=_IDS_AT_ONCE)[::-1]
        return bool(held.ids)
