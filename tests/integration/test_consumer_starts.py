"""Where a group begins that starts at `latest`: it loses nothing that came after its very first start."""

from contextlib import closing
from dataclasses import replace

import pytest
from kafka import KafkaProducer  # type: ignore[import-untyped]  # ships no types

from events.conf import EventsSettings
from events.inbox import positions
from events.inbox.consumer import Gone
from events.kafka import Consumer as KafkaConsumer
from events.kafka import NoOffset
from events.kafka import _consumer as kafka_consumer
from tests.integration.consuming import Member, admin, commit, committed, running, wait_until
from tests.integration.counting import raw, rows
from tests.integration.raw_records import Topic

pytestmark = pytest.mark.usefixtures("effects")


def test_a_new_group_at_latest_commits_its_start_at_once_and_misses_nothing_after(topic: Topic) -> None:
    topic.write(raw(1), raw(2))
    Member(topic, consumer_from="latest").run_once()
    assert rows() == []
    assert committed(topic) == {0: 2, 1: 0, 2: 0}
    topic.write(raw(3))
    topic.write(raw(4), partition=1)
    Member(topic, consumer_from="latest").run_once()
    assert sorted(rows()) == [("ann", 3), ("ann", 4)]


def test_the_first_member_decides_for_all_partitions_and_may_die_at_once(topic: Topic) -> None:
    topic.write(raw(1), partition=1)
    settings = replace(EventsSettings.current(), group=topic.name)
    with closing(KafkaConsumer(settings, topics=[topic.name], assignments=Gone())) as kafka:
        wait_until(lambda: has_no_offsets(kafka))
        positions.begin(kafka, {(topic.name, 0)}, start_from="latest")
        assert kafka.committed((topic.name, 1), timeout_s=5) == 1
        assert kafka.partitions_of("a topic that nobody has asked for") == frozenset()
    topic.write(raw(2))
    topic.write(raw(3), partition=1)
    Member(topic, consumer_from="latest").run_once()
    assert sorted(rows()) == [("ann", 2), ("ann", 3)]


def has_no_offsets(kafka: KafkaConsumer) -> bool:
    try:
        kafka.poll(timeout_s=0.1)
    except NoOffset:
        return True
    return False


def test_a_partition_without_an_offset_in_a_group_that_has_some_starts_at_the_earliest(topic: Topic) -> None:
    topic.write(raw(1), partition=0)
    topic.write(raw(2), partition=1)
    commit(topic, {0: 1})
    Member(topic, consumer_from="latest").run_once()
    assert rows() == [("ann", 2)]


def test_a_partition_that_is_added_under_a_running_group_is_read_from_its_first_record(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_consumer, "_LOOK_FOR_PARTITIONS_EVERY_S", 2)
    with running(Member(topic, consumer_from="latest", consumer_heartbeat_ms=300)):
        wait_until(lambda: committed(topic))
        with admin() as client:
            client.create_partitions({topic.name: 4})
        write_to_the_new_partition(topic)
        topic.write(raw(1, "bob"))
        wait_until(lambda: len(rows()) == 3)
    assert rows("ann") == [("ann", 1), ("ann", 2)]


def write_to_the_new_partition(topic: Topic) -> None:
    with closing(KafkaProducer(bootstrap_servers=list(EventsSettings.current().brokers))) as producer:
        wait_until(lambda: 3 in producer.partitions_for(topic.name))
        Topic(topic.name, producer).write(raw(1), raw(2), partition=3)
