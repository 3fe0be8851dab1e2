"""Keys that are held back: Kafka refused their first record, and what comes after it must wait behind it.

`reader` throws away what it reads of such a key, however much that is: here stays only where the key begins. When the
time has come, the key is read from there, first its head alone, before anything newer of it is let through. Where a
topic was missing, keys come due by the thousand: all are read together, with two statements a round at most.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from events.outbox import store
from events.outbox.session import Session
from events.outbox.store import OrderKey, Pending

_IDS_AT_ONCE = 100_000


@dataclass(slots=True)
class _Held:
    shard: int
    head: int
    until: float
    ids: list[int]  # to be read, in order: first the head alone, since while it may be refused the rest is useless
    after: int  # what was looked for so far lies up to this id


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
        due_at = time.monotonic() + wait_s
        self._held[record.order_key] = _Held(record.shard, record.id, due_at, ids=[record.id], after=record.id)

    def keep(self, shards: Collection[int]) -> None:
        """Those of other shards are another relay's now."""
        self._held = {key: held for key, held in self._held.items() if held.shard in shards}

    def read(self, *, known: Collection[int], paused: Collection[str], limit: int, bytes_most: int) -> list[Pending]:
        """The next records of the keys that are due, an equal share each; one with none left is free.

        A key whose head is among the `known` is not due: it is being tried right now. Raises DatabaseAway.
        """
        due = self._due(known, paused)
        self._look_for([key for key in due if not self._held[key].ids])
        having = [self._held[key] for key in due if key in self._held][:limit]
        if not having:
            return []
        share = limit // len(having)
        wanted = [record_id for held in having for record_id in held.ids[:share]]
        records = store.by_id(self._session, wanted, bytes_most=bytes_most)
        up_to = records[-1].id if records else max(wanted)
        for held in having:
            held.ids[:share] = [record_id for record_id in held.ids[:share] if record_id > up_to]
        return records

    def _due(self, known: Collection[int], paused: Collection[str]) -> list[OrderKey]:
        now = time.monotonic()
        return [
            key
            for key, held in self._held.items()
            if held.until <= now and held.head not in known and key[0] not in paused
        ]

    def _look_for(self, keys: Sequence[OrderKey]) -> None:
        if not keys:
            return
        after = [self._held[key].after for key in keys]
        limit_each = max(1, _IDS_AT_ONCE // len(keys))
        found = store.ids_of_keys(self._session, keys, after=after, limit_each=limit_each)
        for key in keys:
            if ids := found[key]:
                self._held[key].ids, self._held[key].after = ids, ids[-1]
            else:
                del self._held[key]
