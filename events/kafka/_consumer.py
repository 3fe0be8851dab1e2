"""Reading: `inbox.consumer` owns one `Consumer` and decides where it starts."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from kafka import (  # type: ignore[import-untyped]  # ships no types
    ConsumerRebalanceListener,
    KafkaConsumer,
    TopicPartition,
)
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor  # type: ignore[import-untyped]  # as above
from kafka.structs import MemberState, OffsetAndMetadata  # type: ignore[import-untyped]  # as above

from events.conf import EventsSettings
from events.kafka._batches import read_by_us
from events.kafka._connection import connection
from events.kafka._errors import BrokersAway, Place, Rebalanced, our_errors, places_of
from events.kafka._records import Record

MAX_POLL_INTERVAL_S = 300  # a member that does not poll for so long loses its partitions
# How long a grown topic's new partitions may go unread. The client's own 5 minutes would be that long a delay for every
# key that moved there; asking twice a minute costs a broker nothing.
_LOOK_FOR_PARTITIONS_EVERY_S = 30
_CLOSE_WITHIN_S = 3.0
_JOIN_WITHIN_S = 0.5  # longer than most joins take once all members poll


class Assignments(Protocol):
    """Who is told which partitions came and went. On the client's I/O thread: take note and return at once."""

    def assigned(self, places: frozenset[Place]) -> None:
        """These are this member's from now on, and no others; possibly none."""

    def revoked(self, places: frozenset[Place]) -> None:
        """These are about to go to another member."""

    def lost(self, places: frozenset[Place]) -> None:
        """These may already be another member's: commit nothing of them."""


class Consumer:
    """A member of a group. Connects at its first poll and by itself again; offsets are committed only by `commit`."""

    def __init__(self, settings: EventsSettings, *, topics: Sequence[str], assignments: Assignments) -> None:
        self._client = KafkaConsumer(
            **connection(settings),
            group_id=settings.group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            session_timeout_ms=settings.consumer_session_timeout_ms,
            heartbeat_interval_ms=settings.consumer_heartbeat_ms,
            max_poll_records=settings.consumer_batch,
            max_poll_interval_ms=MAX_POLL_INTERVAL_S * 1000,
            metadata_max_age_ms=_LOOK_FOR_PARTITIONS_EVERY_S * 1000,
        )
        read_by_us(self._client._fetcher)  # noqa: SLF001 - as is said there
        self._client.subscribe(topics=list(topics), listener=_Listener(assignments))

    def poll(self, *, timeout_s: float) -> list[Record]:
        """The next records, at most a batch, partition by partition in offset order; none while the broker is away.

        Raises NoOffset, OffsetOutOfRange, NotAuthorised.
        """
        # What the client had in hand of a paused partition it takes up only where nothing else is, and leaves there
        # what it has read to the end: the partition would stand still for ever.
        fetcher = self._client._fetcher  # noqa: SLF001 - as said
        if not fetcher._next_partition_records:  # noqa: SLF001
            fetcher._next_partition_records = None  # noqa: SLF001
        with our_errors():
            # An answer to its join that comes between two polls it throws away, and the group joins once more. Where
            # new partitions were the reason it takes itself for joined, and sends no heartbeat: it has to be told.
            if self._is_joining():
                self._client._coordinator.request_rejoin()  # noqa: SLF001 - no public way to it
            polled = self._client.poll(timeout_ms=_ms(timeout_s))
            if not polled and self._is_joining():
                polled = self._client.poll(timeout_ms=_ms(_JOIN_WITHIN_S))
        return [record for of_one_partition in polled.values() for record in of_one_partition]

    def cluster_id(self, *, timeout_s: float) -> str:
        """The cluster's own id: its topics and offsets are no other's. Raises BrokersAway."""
        cluster = self._client._cluster  # noqa: SLF001 - no public way to it
        if cluster.cluster_id is None:
            answered = threading.Event()
            cluster.request_update().add_both(lambda _: answered.set())
            answered.wait(timeout_s)
        if cluster.cluster_id is None:
            raise BrokersAway("no metadata")
        return str(cluster.cluster_id)

    def assignment(self) -> frozenset[Place]:
        """The partitions that this member believes to own."""
        return places_of(self._client.assignment())

    def partitions_of(self, topic: str) -> frozenset[Place]:
        """All partitions of a topic that are known, whoever owns them."""
        # The client's own way asks the brokers for all topics where this one is unknown, and waits without a limit.
        known = self._client._cluster.partitions_for_topic(topic)  # noqa: SLF001 - as said
        return frozenset((topic, number) for number in known or ())

    def stands_by(self, topics: Iterable[str]) -> bool:
        """Whether this member has no partition since the others have them all, rather than since nobody answers."""
        is_settled = self._client.group_metadata().state == MemberState.STABLE
        return is_settled and not self.assignment() and all(self.partitions_of(topic) for topic in topics)

    def committed(self, place: Place, *, timeout_s: float) -> int | None:
        """The group's offset, or None where it has none. Raises BrokersAway."""
        with our_errors():
            offset: int | None = self._client.committed(TopicPartition(*place), timeout_ms=_ms(timeout_s))
        return offset

    def beginning_offsets(self, places: Iterable[Place], *, timeout_s: float) -> dict[Place, int]:
        """The offset of the oldest record still there. Raises BrokersAway."""
        with our_errors():
            return _by_place(self._client.beginning_offsets(_partitions(places), timeout_ms=_ms(timeout_s)))

    def end_offsets(self, places: Iterable[Place], *, timeout_s: float) -> dict[Place, int]:
        """The offset that the next record will have. Raises BrokersAway."""
        with our_errors():
            return _by_place(self._client.end_offsets(_partitions(places), timeout_ms=_ms(timeout_s)))

    def position(self, place: Place) -> int | None:
        """Where the next poll reads on, or None while that is not known; asks nobody.

        Behind all that was polled, and behind what no poll brings: a transaction's end, or what compaction took.
        """
        # The client's own way may ask brokers, for all partitions, each time.
        state = self._client._subscription.assignment.get(TopicPartition(*place))  # noqa: SLF001 - as said
        position = state.position if state else None
        return None if position is None else int(position.offset)

    def seek(self, place: Place, offset: int) -> None:
        """Read on from `offset` at the next poll. Raises Rebalanced: not ours any more."""
        if place not in self.assignment():
            raise Rebalanced(f"{place} is not assigned")
        self._client.seek(TopicPartition(*place), offset)

    def pause(self, places: Iterable[Place]) -> None:
        """Poll brings nothing of these until `resume`; the membership stays alive."""
        self._client.pause(*_partitions(set(places) & self.assignment()))

    def resume(self, places: Iterable[Place]) -> None:
        """Undo `pause`."""
        self._client.resume(*_partitions(set(places) & self.assignment()))

    def commit(self, offsets: Mapping[Place, int], *, timeout_s: float) -> None:
        """Commit for each place the offset of the next record to read. Raises Rebalanced, BrokersAway.

        The broker takes offsets even of partitions that another member owns by now, so those are left out here.
        """
        mine = self.assignment()
        self.commit_for_all({place: offset for place, offset in offsets.items() if place in mine}, timeout_s=timeout_s)

    def commit_for_all(self, offsets: Mapping[Place, int], *, timeout_s: float) -> None:
        """As `commit`, but whoever owns them: for the positions at which a new group starts. Raises as `commit`."""
        theirs_too = {TopicPartition(*place): OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()}
        if theirs_too:
            with our_errors():
                self._client.commit(theirs_too, timeout_ms=_ms(timeout_s))

    def close(self) -> None:
        """Leave the group; within 3 s whether the broker answers or not."""
        self._client.close(autocommit=False, timeout_ms=_ms(_CLOSE_WITHIN_S))

    def _is_joining(self) -> bool:
        return bool(self._client.group_metadata().state == MemberState.REBALANCING)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # untyped base
    """Translates the client's calls; of what went, empty ones are left out."""

    def __init__(self, assignments: Assignments) -> None:
        self._assignments = assignments

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """As the client names it."""
        self._assignments.assigned(places_of(assigned))

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """As the client names it."""
        if revoked:
            self._assignments.revoked(places_of(revoked))

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """As the client names it."""
        if lost:
            self._assignments.lost(places_of(lost))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _partitions(places: Iterable[Place]) -> list[TopicPartition]:
    return [TopicPartition(*place) for place in places]


def _by_place(offsets: Mapping[TopicPartition, int]) -> dict[Place, int]:
    return {(partition.topic, partition.partition): offset for partition, offset in offsets.items()}
