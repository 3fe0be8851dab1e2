"""Topics and what is set for them: for the commands `kafka` and `doctor`, never for a loop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, TopicPartition  # type: ignore[import-untyped]  # ships no types
from kafka import errors as theirs
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec  # type: ignore[import-untyped]  # as above

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

    def create_topic(self, name: str, *, partitions: int | None = None) -> bool:
        """Make it as the settings say, with as many partitions if they are given; False where it was there before.

        Raises BrokerRefuses, NotAuthorised.
        """
        wanted = self._new | ({} if partitions is None else {"num_partitions": partitions})
        try:
            self._client.create_topics({name: wanted}, wait_for_metadata=True)
        except theirs.TopicAlreadyExistsError:
            return False
        except theirs.KafkaError as error:
            raise our_error_of_one(error) from error
        return True

    def grow_topic(self, name: str, partitions: int) -> None:
        """Give it so many partitions in all. Returns before they have leaders. Raises BrokerRefuses, NotAuthorised."""
        try:
            self._client.create_partitions({name: partitions})
        except theirs.KafkaError as error:
            raise our_error_of_one(error) from error

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

    def lag(self, *, group: str, topic: str) -> int | None:
        """How many of a topic's records the group has not settled; None where it has no offset there."""
        places = [TopicPartition(topic, state.partition) for state in self.describe_topic(topic)]
        with our_errors():
            committed = self._client.list_group_offsets({group: places})[group]
            positions = {place: at.offset for place, at in committed.items() if at.offset >= 0}
            starts = self._offsets([place for place in places if place not in positions], OffsetSpec.EARLIEST)
            ends = self._offsets(places, OffsetSpec.LATEST)
        return sum(ends.values()) - sum((starts | positions).values()) if positions else None

    def topic_setting(self, topic: str, name: str) -> str | None:
        """What holds for a topic, from whichever level; None where this user may not see it, or there is no topic."""
        return self._settings(ConfigResourceType.TOPIC, [topic], name)[topic]

    def broker_setting(self, name: str) -> Mapping[str, str | None]:
        """What holds for each broker, by its id."""
        with our_errors():
            ids = [str(broker["broker_id"]) for broker in self._client.describe_cluster()["brokers"]]
        return self._settings(ConfigResourceType.BROKER, ids, name)

    def _settings(self, kind: Any, names: Sequence[str], setting: str) -> dict[str, str | None]:
        wanted = [ConfigResource(kind, name, configs={setting: None}) for name in names]
        with our_errors():
            found = self._client.describe_configs(wanted, config_filter="all")
        (of_kind,) = found.values()
        return {name: of_kind.get(name, {}).get(setting, {}).get("value") for name in names}

    def _offsets(self, places: Sequence[Any], which: Any) -> dict[Any, int]:
        if not places:
            return {}
        found = self._client.list_partition_offsets(dict.fromkeys(places, which))
        return {place: at.offset for place, at in found.items()}

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()
