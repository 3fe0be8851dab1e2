"""The records in hand, from their reading to their acknowledgement: queued, or on their way. No I/O.

`pipeline` fills and empties it. It is bounded in records and in bytes, so that memory stays flat whatever is pending.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable

from events.outbox.store import OrderKey, Pending

_WELL, _REFUSED = 0, -1  # companies; no ids


class Window:
    """Each key's records stand in their order, first those on their way, then the queue."""

    def __init__(self) -> None:
        self._queue: deque[Pending] = deque()
        self._on_their_way: dict[int, Pending] = {}
        self._suspects: set[int] = set()
        self._company = _WELL  # of what is on its way
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._queue) + len(self._on_their_way)

    @property
    def next(self) -> Pending | None:
        """The first of the queue."""
        return self._queue[0] if self._queue else None

    @property
    def on_their_way(self) -> int:
        """How many were sent and are not settled."""
        return len(self._on_their_way)

    @property
    def shards(self) -> set[int]:
        """Of the records on their way."""
        return {record.shard for record in self._on_their_way.values()}

    def add(self, records: Iterable[Pending]) -> None:
        """These were read."""
        for record in records:
            self._queue.append(record)
            self.bytes += record.bytes

    def sent(self) -> None:
        """The first of the queue is on its way."""
        record = self._queue.popleft()
        self._on_their_way[record.id] = record
        self._company = self._company_of(record)

    def acknowledged(self, records: Iterable[Pending]) -> None:
        """Kafka has these."""
        for record in records:
            del self._on_their_way[record.id]
            self._suspects.discard(record.id)
            self.bytes -= record.bytes

    def send_again(self) -> None:
        """Nothing is on its way any more: what was goes before the rest, each key's in order."""
        again = sorted(self._on_their_way.values())
        self._queue.extendleft(reversed(again))
        self._on_their_way = {}

    def heads(self, topic: str) -> list[Pending]:
        """The first of each key of a topic in the queue."""
        return list(firsts(record for record in self._queue if record.topic == topic).values())

    def drop_keys(self, keys: Collection[OrderKey]) -> list[Pending]:
        """Take whole keys out of the queue; gives what was there."""
        return self._drop(lambda record: record.order_key in keys)

    def drop_shards(self, shards: Collection[int]) -> list[Pending]:
        """Take whole shards out of the queue; gives what was there."""
        return self._drop(lambda record: record.shard in shards)

    def drop_topic(self, topic: str) -> list[Pending]:
        """Take a whole topic out of the queue; gives what was there."""
        return self._drop(lambda record: record.topic == topic)

    def drop(self, ids: Collection[int]) -> None:
        """Take these out of the queue."""
        self._drop(lambda record: record.id in ids)

    def may_join(self, record: Pending) -> bool:
        """Whether it may be on its way together with what is: records of different companies must not.

        One that failed beside others is a company of its own: its next failure must be its own without doubt. Those
        that were refused before are one: thousands, where a topic was missing; they must not fail what never did.
        """
        return not self._on_their_way or self._company_of(record) == self._company

    def suspect(self, records: Iterable[Pending]) -> None:
        """One of these is to blame for a failure of them all."""
        self._suspects.update(record.id for record in records)

    def _company_of(self, record: Pending) -> int:
        if record.id in self._suspects:
            return record.id
        return _REFUSED if record.attempts else _WELL

    def _drop(self, is_meant: Callable[[Pending], bool]) -> list[Pending]:
        dropped = [record for record in self._queue if is_meant(record)]
        if dropped:
            ids = {record.id for record in dropped}
            self._queue = deque(record for record in self._queue if record.id not in ids)
            self._suspects -= ids
            self.bytes -= sum(record.bytes for record in dropped)
        return dropped


def firsts(records: Iterable[Pending]) -> dict[OrderKey, Pending]:
    """Of each key the first of these."""
    found: dict[OrderKey, Pending] = {}
    for record in records:
        found.setdefault(record.order_key, record)
    return found
