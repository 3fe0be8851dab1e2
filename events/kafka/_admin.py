"""Topics: for the command `kafka`, never for a loop."""

from collections.abc import Sequence
from dataclasses import dataclass

from kafka import KafkaAdminClient  # type: ignore[import-untyped]  # ships no types
from kafka import errors as theirs

from events.conf import EventsSettings
from events.kafka._connection import connection
from events.kafka._errors import UnknownTopic, our_error_of_one, our_errors

_BOOTSTRAP_WITHIN_MS = 3_000
_UNKNOWN_ERROR_CODE = 3


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition: the ids of its leader (-1: none), its replicas and those in sync."""

    partition: int
    leader: int
    replicas: Sequence[int]
    in_sync: Sequence[int]


class Admin:
    """Makes and describes topics. Connects at once; where that fails (BrokersAway, 3 s) a thread stays: no loops."""

    def __init__(self, settings: EventsSettings) -> None:
        told = connection(settings)
        del told["api_version"], told["allow_auto_create_topics"]  # unknown to this client
        with our_errors():
            self._client = KafkaAdminClient(**told, bootstrap_timeout_ms=_BOOTSTRAP_WITHIN_MS, request_timeout_ms=5_000)
        self._new = {
            "num_partitions": settings.partitions,
            "replication_factor": settings.replication,
            "configs": {"retention.ms": str(settings.topic_retention_d * 86_400_000)},
        }

    def create_topic(self, name: str) -> bool:
        """Make it as the settings say; False where it was there before. Raises BrokerRefuses, NotAuthorised."""
        try:
            self._client.create_topics({name: self._new}, wait_for_metadata=True)
        except theirs.TopicAlreadyExistsError:
            return False
        except theirs.KafkaError as error:
            raise our_error_of_one(error) from error
        return True

    def topics(self) -> list[str]:
        """The names of all topics, sorted."""
        with our_errors():
            return sorted(self._client.list_topics())

    def describe_topic(self, name: str) -> list[PartitionState]:
        """Its partitions. Raises UnknownTopic."""
        with our_errors():
            (topic,) = self._client.describe_topics([name])
        if topic["error_code"] == _UNKNOWN_ERROR_CODE:
            raise UnknownTopic(name)
        found = (
            PartitionState(raw["partition_index"], raw["leader_id"], raw["replica_nodes"], raw["isr_nodes"])
            for raw in topic["partitions"]
        )
        return sorted(found, key=lambda state: state.partition)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()
