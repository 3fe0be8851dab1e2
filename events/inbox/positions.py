"""Where reading begins, how far it came and where it ends: the client decides nothing by itself.

`consumer` calls this when a poll says that partitions have no offset, or one that lies outside the log; and keeps here
what it may commit.
"""

from collections.abc import Collection, Iterable, Mapping

from events import observe
from events.inbox import store
from events.kafka import Consumer, Place, Rebalanced

_WITHIN_S = 5.0
_COMMIT_WITHIN_S = 2.0
_LOOK_WITHIN_S = 1.0


class Offsets:
    """How far the partitions of this member are settled, and how far the group knows it."""

    def __init__(self, kafka: Consumer) -> None:
        self._kafka = kafka
        self.settled: dict[Place, int] = {}
        self._committed: dict[Place, int] = {}

    def note(self, settled: Mapping[Place, int]) -> None:
        """The next offset of each of these is settled up to here."""
        self.settled |= settled

    def follow(self, *, held: Collection[Place]) -> None:
        """Where nothing is `held`, all that was read is settled: also what brings no record, as a transaction's end."""
        for place in self._kafka.assignment().difference(held):
            position = self._kafka.position(place)
            if position is not None:
                self.settled[place] = position

    def commit(self) -> None:
        """Commit what is settled and was not committed yet. Raises Rebalanced, BrokersAway."""
        news = dict(self.settled.items() - self._committed.items())
        if news:
            self._kafka.commit(news, timeout_s=_COMMIT_WITHIN_S)
            self._committed |= news

    def forget(self, places: Iterable[Place]) -> None:
        """Commit nothing of these any more: another member may have gone on from where this one was."""
        for place in places:
            self.settled.pop(place, None)
            self._committed.pop(place, None)

    def behind(self) -> dict[Place, int]:
        """How many records of each partition are not settled, by what a broker says now. Raises BrokersAway."""
        ends = self._kafka.end_offsets(self._kafka.assignment(), timeout_s=_LOOK_WITHIN_S)
        for place in ends.keys() - self.settled.keys() - self._committed.keys():
            begun_at = self._kafka.committed(place, timeout_s=_LOOK_WITHIN_S)
            if begun_at is not None:
                self._committed[place] = begun_at
        done = self._committed | self.settled
        return {place: max(end - done[place], 0) for place, end in ends.items() if place in done}


def begin(kafka: Consumer, places: Iterable[Place], *, topics: Iterable[str], group: str, start_from: str) -> None:
    """Give a first position to `places`, which have no committed offset. Raises BrokersAway, Rebalanced, and Django's.

    `start_from` (`latest`, `earliest`) counts at the group's very first start alone, and then for all partitions of
    its `topics` at once, so that members who come a moment later begin where the first one did. Committed before
    anything is read: a group that dies at once must not start at `latest` a second time and lose what came between.
    """
    every = frozenset[Place]().union(*map(kafka.partitions_of, topics))
    places = frozenset(places)
    if start_from == "latest" and _is_first_start(kafka, every | places, group):
        offsets = kafka.end_offsets(every | places, timeout_s=_WITHIN_S)
    else:
        missing = [place for place in places if _has_none(kafka, place)]
        offsets = kafka.beginning_offsets(missing, timeout_s=_WITHIN_S)
    kafka.commit_for_all(offsets, timeout_s=_WITHIN_S)
    _seek(kafka, {place: offset for place, offset in offsets.items() if place in places})


def begin_again(kafka: Consumer, places: Iterable[Place]) -> None:
    """Put `places`, whose position is not in the log, to the oldest record there. Raises BrokersAway, Rebalanced.

    Committed at once too: the log may grow past a position that lies behind its end, which would then hide a gap.
    """
    offsets = kafka.beginning_offsets(places, timeout_s=_WITHIN_S)
    kafka.commit(offsets, timeout_s=_WITHIN_S)
    for (topic, partition), offset in offsets.items():
        observe.record_out_of_range(topic=topic, partition=partition, offset=offset)
    _seek(kafka, offsets)


def _is_first_start(kafka: Consumer, every: Iterable[Place], group: str) -> bool:
    # Brokers forget the offsets of a group that was away for long, and with a topic those of the topic.
    return all(_has_none(kafka, place) for place in every) and not store.has_received(group=group)


def _has_none(kafka: Consumer, place: Place) -> bool:
    return kafka.committed(place, timeout_s=_WITHIN_S) is None


def _seek(kafka: Consumer, offsets: dict[Place, int]) -> None:
    for place, offset in offsets.items():
        try:
            kafka.seek(place, offset)
        except Rebalanced:
            continue  # another member's by now, who finds what was committed


class End:
    """The end of what lies in this member's partitions when it first reads each of them."""

    def __init__(self, kafka: Consumer) -> None:
        self._kafka = kafka
        self._ends: dict[Place, int] = {}

    def is_reached(self, settled: Mapping[Place, int]) -> bool:
        """Whether all of it is settled, in this run or before; not while nothing is assigned. Raises BrokersAway."""
        mine = self._kafka.assignment()
        self._see(mine - self._ends.keys())
        return bool(mine) and all(place in self._ends and settled.get(place, -1) >= self._ends[place] for place in mine)

    def _see(self, places: Iterable[Place]) -> None:
        """Not where the position is unknown, or behind the end: reading begins elsewhere, as a poll is about to say."""
        at = {place: position for place in places if (position := self._kafka.position(place)) is not None}
        ends = self._kafka.end_offsets(at, timeout_s=_WITHIN_S)
        self._ends |= {place: end for place, end in ends.items() if at[place] <= end}
