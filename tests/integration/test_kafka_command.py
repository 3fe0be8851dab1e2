"""`manage.py kafka topics …` as an operator types it."""

import time
from contextlib import closing
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from kafka import KafkaAdminClient  # type: ignore[import-untyped]  # ships no types
from kafka.admin import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]  # as above
from pytest_django import Settings

from devstack import Stack
from events.conf import EventsSettings
from events.models import TopicPartitions

pytestmark = pytest.mark.django_db


@pytest.fixture
def name(parts: Stack, settings: Settings) -> str:
    """Of the one configured topic, which is not there yet."""
    name = f"test-{uuid4().hex[:12]}"
    settings.EVENTS = {**settings.EVENTS, "TOPICS": {"user_events": name}, "PARTITIONS": 2}
    return name


def kafka(*words: str) -> list[str]:
    out = StringIO()
    call_command("kafka", *words, stdout=out)
    return out.getvalue().splitlines()


def retention_ms(topic: str) -> str:
    with closing(KafkaAdminClient(bootstrap_servers=list(EventsSettings.current().brokers))) as admin:
        described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return str(described["topic"][topic]["retention.ms"]["value"])


def test_create_makes_each_topic_and_its_dead_letter_topic_once(name: str) -> None:
    assert kafka("topics", "create") == [f"{name}: created", f"{name}.dlq: created"]
    assert kafka("topics", "create") == [f"{name}: exists already", f"{name}.dlq: exists already"]
    assert [retention_ms(name), retention_ms(f"{name}.dlq")] == ["604800000", "604800000"]


def pinned() -> dict[str, int]:
    return dict(TopicPartitions.objects.values_list("topic", "partitions"))


def test_create_pins_how_many_partitions_there_are(name: str, settings: Settings) -> None:
    kafka("topics", "create")
    assert pinned() == {name: 2, f"{name}.dlq": 2}

    TopicPartitions.objects.all().delete()
    settings.EVENTS = {**settings.EVENTS, "PARTITIONS": 5}
    kafka("topics", "create")
    assert pinned() == {name: 2, f"{name}.dlq": 2}


def test_a_topic_that_is_gone_is_made_anew_with_the_pinned_partitions(name: str) -> None:
    TopicPartitions.objects.create(topic=name, partitions=4)
    assert kafka("topics", "create") == [f"{name}: created", f"{name}.dlq: created"]
    assert kafka("topics", "describe", name)[0] == f"{name}: 4 partitions"
    assert pinned() == {name: 4, f"{name}.dlq": 2}


def test_another_count_than_the_pinned_one_is_told_and_the_pin_stays(name: str) -> None:
    kafka("topics", "create")
    TopicPartitions.objects.filter(topic=name).update(partitions=1)
    assert kafka("topics", "create") == [
        f"{name}: exists already, with 2 partitions where 1 are pinned: see `kafka topics grow`",
        f"{name}.dlq: exists already",
    ]
    assert pinned() == {name: 1, f"{name}.dlq": 2}


def test_list_names_them(name: str) -> None:
    kafka("topics", "create")
    listed = kafka("topics", "list")
    assert [topic for topic in listed if topic.startswith(name)] == [name, f"{name}.dlq"]


def test_describe_shows_partitions_with_leader_and_replicas(name: str) -> None:
    kafka("topics", "create")
    assert kafka("topics", "describe", name) == [
        f"{name}: 2 partitions",
        "  partition 0: leader 1, replicas 1, in sync 1",
        "  partition 1: leader 1, replicas 1, in sync 1",
    ]
    assert [line for line in kafka("topics", "describe") if "partitions" in line] == [
        f"{name}: 2 partitions",
        f"{name}.dlq: 2 partitions",
    ]


def test_a_topic_that_is_not_there_is_told_in_one_line(name: str) -> None:
    with pytest.raises(CommandError, match=f"^Kafka refuses: UnknownTopic: {name}$"):
        kafka("topics", "describe", name)


def test_more_replicas_than_brokers_is_told_in_one_line(name: str, settings: Settings) -> None:
    settings.EVENTS = {**settings.EVENTS, "REPLICATION": 3}
    with pytest.raises(CommandError, match=r"^Kafka refuses: BrokerRefuses: InvalidReplicationFactorError$"):
        kafka("topics", "create")


def test_without_a_broker_one_line_names_the_setting_soon(settings: Settings) -> None:
    settings.EVENTS = {**settings.EVENTS, "BROKERS": ("127.0.0.1:1", "127.0.0.1:2")}
    began = time.monotonic()
    with pytest.raises(CommandError, match=r"^KAFKA_BROKERS=127\.0\.0\.1:1,127\.0\.0\.1:2: no broker answered"):
        kafka("topics", "list")
    assert time.monotonic() - began < 5
