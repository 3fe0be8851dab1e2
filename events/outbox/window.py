"""The records in hand, from their reading to their acknowledgement: queued, or on their way. No I/O.

`pipeline` fills and empties it. It is bounded in records and in bytes, so that memory stays flat whatever is pending.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable

from events.outbox.store import OrderKey, Pending


class Window:
    """Each key's records stand in their order, first those on their way, then the queue."""

    def __init__(self) -> None:
        self._queue: deque[Pending] = deque()
        self._on_their_way: dict[int, Pending] = {}
        self._suspects: set[int] = set()
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

    def settled(self, records: Iterable[Pending]) -> None:
        """These were acknowledged."""
        for record in records:
            del self._on_their_way[record.id]
            self._suspects.discard(record.id)
            self.bytes -= record.bytes

    def send_again(self) -> None:
        """Nothing is on its way any more: what was goes before the rest, each key's in order."""
        again = sorted(self._on_their_way.values())
        self._queue.extendleft(reversed(again))
        self._on_their_way = {}

    def drop_key(self, key: OrderKey) -> list[int]:
        """Take a key out of the queue; gives the ids."""
        return self._drop(lambda record: record.order_key == key)

    def drop_shards(self, shards: Collection[int]) -> list[int]:
        """Take whole shards out of the queue; gives the ids."""
        return self._drop(lambda record: record.shard in shards)

    def drop(self, record: Pending) -> None:
        """Take this one out of the queue."""
        self._drop(lambda queued: queued.id == record.id)

    def must_go_alone(self, record: Pending) -> bool:
        """Whether it failed before, or beside others, so that its next failure must be its own without doubt."""
        return record.attempts > 0 or record.id in self._suspects

    def suspect(self, records: Iterable[Pending]) -> None:
        """One of these is to blame for a failure of them all."""
        self._suspects.update(record.id for record in records)

    def _drop(self, is_meant: Callable[[Pending], bool]) -> list[int]:
        dropped = [record for record in self._queue if is_meant(record)]
        if dropped:
            ids = {record.id for record in dropped}
            self._queue = deque(record for record in self._queue if record.id not in ids)
            self._suspects -= ids
            self.bytes -= sum(record.bytes for record in dropped)
        return [record.id for record in dropped]
