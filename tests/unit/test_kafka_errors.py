"""Whose fault a failure is: only an error that is named as a record's own counts against that record."""

import pytest
from kafka import errors as theirs  # type: ignore[import-untyped]  # ships no types

from events.errors import EventsError, Permanent
from events.kafka import BrokerRefuses, BrokersAway, Ended, NotAuthorised, UnknownTopic
from events.kafka._errors import our_error_of_one


class NewerError(theirs.BrokerResponseError):  # type: ignore[misc]  # as above
    """One that a later broker or client may know."""


@pytest.mark.parametrize(
    "error",
    [
        theirs.BrokerNotAvailableError,
        theirs.ClusterAuthorizationFailedError,
        theirs.CorruptRecordError,
        theirs.InvalidProducerEpochError,
        theirs.InvalidProducerIdMappingError,
        theirs.InvalidTimestampError,
        theirs.KafkaConnectionError,
        theirs.KafkaStorageError,
        theirs.KafkaTimeoutError,
        theirs.NotEnoughReplicasAfterAppendError,
        theirs.OutOfOrderSequenceNumberError,
        theirs.ProducerFencedError,
        theirs.RequestTimedOutError,
        theirs.SaslAuthenticationFailedError,
        theirs.UnknownError,
        theirs.UnknownProducerIdError,
        theirs.UnsupportedVersionError,
        NewerError,
    ],
)
def test_an_error_that_is_not_named_as_guilty_is_waited_out(error: type[Exception]) -> None:
    ours = our_error_of_one(error())
    assert type(ours) is BrokersAway
    assert not isinstance(ours, Permanent)
    assert str(ours) == error.__name__


@pytest.mark.parametrize(
    "error",
    [
        theirs.InvalidConfigurationError,
        theirs.InvalidPartitionsError,
        theirs.InvalidRecordError,
        theirs.InvalidReplicationFactorError,
        theirs.InvalidTopicError,
        theirs.MessageSizeTooLargeError,
        theirs.PolicyViolationError,
        theirs.RecordListTooLargeError,
        theirs.UnsupportedForMessageFormatError,
    ],
)
def test_what_is_the_record_s_or_topic_s_own_fault_is_refused(error: type[Exception]) -> None:
    ours = our_error_of_one(error())
    assert type(ours) is BrokerRefuses
    assert str(ours) == error.__name__


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (theirs.IllegalStateError, Ended),
        (theirs.TopicAuthorizationFailedError, NotAuthorised),
        (theirs.UnknownTopicOrPartitionError, UnknownTopic),
    ],
)
def test_what_has_a_name_of_our_own_keeps_it(error: type[Exception], ours: type[EventsError]) -> None:
    assert type(our_error_of_one(error())) is ours
