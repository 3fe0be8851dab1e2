"""The only importer of kafka-python: what we use of it, with its errors turned into ours.

`outbox.producer` sends through `Producer`, `inbox.consumer` reads through `Consumer`, the command `kafka` makes and
describes topics through `Admin`. The modules inside are private: everything is imported from here. What the client
does under faults, and so why its arguments are as they are: docs/decisions/kafka-client.md.
"""

from kafka.partitioner.default import murmur2  # type: ignore[import-untyped]  # ships no types

from events.kafka._admin import Admin, PartitionState
from events.kafka._consumer import MAX_POLL_INTERVAL_S, Assignments, Consumer
from events.kafka._errors import (
    BrokerRefuses,
    BrokersAway,
    Ended,
    NoOffset,
    NotAuthorised,
    OffsetOutOfRange,
    Place,
    Rebalanced,
    UnknownTopic,
)
from events.kafka._producer import Acknowledged, Message, Producer
from events.kafka._records import Record

__all__ = [
    "MAX_POLL_INTERVAL_S",
    "Acknowledged",
    "Admin",
    "Assignments",
    "BrokerRefuses",
    "BrokersAway",
    "Consumer",
    "Ended",
    "Message",
    "NoOffset",
    "NotAuthorised",
    "OffsetOutOfRange",
    "PartitionState",
    "Place",
    "Producer",
    "Rebalanced",
    "Record",
    "UnknownTopic",
    "murmur2",
]
