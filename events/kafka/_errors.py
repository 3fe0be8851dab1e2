"""The client's errors turned into ours; everything in this package raises these alone."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from kafka import TopicPartition  # type: ignore[import-untyped]  # ships no types
from kafka import errors as theirs

from events.errors import EventsError, Permanent, Transient

Place = tuple[str, int]  # topic and partition

_MOVED_ON = (
    theirs.CommitFailedError,
    theirs.IllegalGenerationError,
    theirs.RebalanceInProgressError,
    theirs.UnknownMemberIdError,
)
# The guilty are named: an error that is not here, or new, is waited out and harms no record.
_ITS_OWN_FAULT = (
    theirs.InvalidConfigurationError,
    theirs.InvalidPartitionsError,
    theirs.InvalidRecordError,
    theirs.InvalidReplicationFactorError,
    theirs.InvalidTopicError,
    theirs.MessageSizeTooLargeError,
    theirs.PolicyViolationError,
    theirs.RecordListTooLargeError,
    theirs.UnsupportedForMessageFormatError,
)


class BrokersAway(Transient):
    """No broker answered in time, or the one that did cannot serve this now."""


class Ended(BrokersAway):
    """This producer was ended before the record was settled: whether it was written is unknown."""


class Rebalanced(Transient):
    """The group has moved on without this member: drop the work in hand and poll again."""


class NotAuthorised(Permanent):
    """The cluster's rules forbid it."""


class UnknownTopic(Permanent):
    """The broker answers, and has no such topic."""


class BrokerRefuses(Permanent):
    """The broker is well, but refuses this record or topic; the message is the class of its error."""


class NoOffset(EventsError):
    """These partitions have no committed offset and no position: seek before the next poll."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.places = frozenset(places)
        super().__init__(f"no offset committed for {sorted(self.places)}")


class OffsetOutOfRange(EventsError):
    """The position of these partitions is no longer, or not yet, in the log: seek before the next poll."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.places = frozenset(places)
        super().__init__(f"position out of range in {sorted(self.places)}")


@contextmanager
def our_errors() -> Iterator[None]:
    try:
        yield
    except theirs.KafkaError as error:
        raise _our_error(error) from error


def _our_error(error: Exception) -> EventsError:
    name = type(error).__name__
    match error:
        case theirs.NoOffsetForPartitionError():
            return NoOffset(places_of(error.args[0]))
        case theirs.OffsetOutOfRangeError():
            return OffsetOutOfRange(places_of(error.args[0]))
        case theirs.UnknownTopicOrPartitionError():
            return UnknownTopic(name)
        case theirs.AuthorizationError():
            return NotAuthorised(name)
        case theirs.IllegalStateError():
            return Ended(name)
    return Rebalanced(name) if isinstance(error, _MOVED_ON) else BrokersAway(name)


def our_error_of_one(error: Exception) -> EventsError:
    """Of one record sent, or one topic made: some errors are that one's own fault."""
    match error:
        case theirs.ClusterAuthorizationFailedError():
            return BrokersAway(type(error).__name__)
        case guilty if isinstance(guilty, _ITS_OWN_FAULT):
            return BrokerRefuses(type(error).__name__)
    return _our_error(error)


def places_of(partitions: Iterable[TopicPartition]) -> frozenset[Place]:
    """The client's form of partitions in ours."""
    return frozenset((partition.topic, partition.partition) for partition in partitions)
