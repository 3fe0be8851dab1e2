"""What to send next: the records that became visible since the last read, and the next ones above it.

`pipeline` takes from here what it sends and tells what became of it. Within a key ids follow commit order (see
`publish`), but ids as a whole do not: a transaction that drew a low id may commit late. So a read looks twice, in one
snapshot: up to the highest id read so far for what the snapshot before did not see, and above it for the next ones.
It neither goes back to the start nor waits for anybody. The reasoning, with proofs: docs/decisions/reader.md.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, Self

from events.outbox import store
from events.outbox.floors import Floors
from events.outbox.held import HeldKeys
from events.outbox.session import Session
from events.outbox.store import Pending, Seen
from events.outbox.window import firsts

_FLOOR_WITHIN = 5_000  # ids: how far the floor may fall behind while nothing is marked


class _Snapshot(NamedTuple):
    """Which transactions a read could see: none of `running`, none from `next` on."""

    text: str
    oldest: int
    next: int
    running: list[int]

    @classmethod
    def of(cls, text: str) -> Self:
        oldest, following, running = text.split(":")
        return cls(text, int(oldest), int(following), [int(number) for number in running.split(",") if number])


class Reader:
    """The relay's place in the outbox. Used by one thread; a new one begins at the start of what is pending."""

    def __init__(self, session: Session, *, keep: Collection[int] = ()) -> None:
        self._session = session
        self._mine: frozenset[int] = frozenset()
        self._high = 0
        self._before: _Snapshot | None = None
        self._floors = Floors()
        self._known = set(keep)  # given away, or acknowledged by an earlier life: not to be given again
        self._forgettable: set[int] = set()
        self._held = HeldKeys(session)
        self._aside: set[str] = set()  # topics, some of whose records were passed over
        self._has_more = False

    @property
    def has_more(self) -> bool:
        """Whether the last read was cut short by its bounds, though all that it brought may have been held back."""
        return self._has_more

    @property
    def high(self) -> int:
        """The highest id read: take it along with a mark, for `note_marked`."""
        return self._high

    def read(
        self, mine: frozenset[int], *, limit: int, bytes_most: int, paused: frozenset[str] = frozenset()
    ) -> list[Pending]:
        """New records of these shards, each key's in order. Raises DatabaseAway: then nothing has changed.

        At most `limit`, and no more than `bytes_most` allows, but one at least; none of `paused` topics.
        """
        self._own(mine)
        self._go_on_with(self._aside - paused)
        self._keep_floor_close()
        # A read that began before a mark still sees its records as pending: they stay known until it is over.
        marked_before = set(self._forgettable)
        new = self._new(self._look(limit, bytes_most), paused)
        self._known -= marked_before
        self._forgettable -= marked_before
        return new

    def read_held(self, *, limit: int, bytes_most: int, paused: frozenset[str] = frozenset()) -> list[Pending]:
        """The next records of the keys whose time has come, bounded as in `read`. Raises DatabaseAway, as there."""
        records = self._held.read(known=self._known, paused=paused, limit=limit, bytes_most=bytes_most)
        self._known.update(record.id for record in records)
        return records

    def note_marked(self, ids: Iterable[int], *, high: int, number: int) -> None:
        """Transaction `number` marked these; `high` was the highest id read before it began."""
        self._floors.note(up_to=high, below=number)
        self._forgettable.update(ids)

    def hold_back(self, record: Pending, *, wait_s: float) -> None:
        """Kafka refused this record, the first of its key: give nothing of the key for so long."""
        self._held.hold(record, wait_s=wait_s)

    def set_aside(self, topic: str, records: Sequence[Pending]) -> None:
        """These are of a topic that was paused: to be given again when it is not."""
        self._aside.add(topic)
        self.forget(record.id for record in records)
        # A held key's were read from where it began: it begins with the first of these again.
        for key, record in firsts(records).items():
            if key in self._held:
                self._held.hold(record, wait_s=0)

    def forget(self, ids: Iterable[int]) -> None:
        """These will not be sent, now or from here."""
        self._known.difference_update(ids)

    def leave(self, shards: Collection[int]) -> None:
        """These are about to be another's; should they come back, everything in them is new."""
        self._mine = self._mine.difference(shards)
        self._held.keep(self._mine)

    def _own(self, mine: frozenset[int]) -> None:
        """Of a shard that was another's everything is new, wherever its ids lie."""
        if mine - self._mine:
            self._start_over(from_id=0)
        if mine != self._mine:
            self._held.keep(mine)
        self._mine = mine

    def _go_on_with(self, topics: Collection[str]) -> None:
        """Of these all that was passed over is new, wherever its ids lie."""
        if topics:
            self._start_over(from_id=0)
            self._aside.difference_update(topics)

    def _start_over(self, *, from_id: int) -> None:
        self._high, self._before = from_id, None

    def _look(self, limit: int, bytes_most: int) -> list[Pending]:
        seen = store.read(self._session, self._wanted(limit, bytes_most))
        if self._before and self._is_late_half_cut(seen, limit, bytes_most):
            # More came late than one read may bring: begin below all of it. Nothing given before is given again.
            self._start_over(from_id=self._floors.of(self._before.oldest))
            seen = store.read(self._session, self._wanted(limit, bytes_most))
        self._before = _Snapshot.of(seen.snapshot)
        self._floors.forget_below(self._before.oldest)
        if seen.records:
            self._high = max(self._high, seen.records[-1].id)
        self._has_more = len(seen.records) >= limit or seen.bytes >= bytes_most
        return seen.records

    def _wanted(self, limit: int, bytes_most: int) -> dict[str, Any]:
        before = self._before
        running = before.running if before else []
        return {
            "mine": sorted(self._mine),
            "high": self._high,
            "before": before.text if before else None,
            "floor": self._floors.of(before.next) if before else self._high,
            "running": running,
            "floors": [self._floors.of(number) for number in running],
            "limit": limit,
            "bytes_most": bytes_most,
        }

    def _is_late_half_cut(self, seen: Seen, limit: int, bytes_most: int) -> bool:
        late = bisect_right(seen.records, self._high, key=lambda record: record.id)
        is_all_late = 0 < late == len(seen.records)
        return late >= limit or (is_all_late and seen.bytes >= bytes_most)

    def _new(self, records: Iterable[Pending], paused: frozenset[str]) -> list[Pending]:
        new = []
        for record in records:
            if record.topic in paused:
                self._aside.add(record.topic)
                continue
            if record.id in self._known or (self._held and record.order_key in self._held):
                continue
            if record.wait_s is not None and record.wait_s > 0:
                # Another relay, or an earlier life of this one, held it back.
                self._held.hold(record, wait_s=record.wait_s)
                continue
            self._known.add(record.id)
            new.append(record)
        return new

    def _keep_floor_close(self) -> None:
        """Marks move the floor. Where none are made, as behind a held key, take a number for its own sake."""
        if self._high - self._floors.highest > _FLOOR_WITHIN:
            self._floors.note(up_to=self._high, below=store.take_number(self._session))
