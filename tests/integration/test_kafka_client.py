"""What we lean on in kafka-python, private calls too: a new version of it must pass here first."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient  # type: ignore[import-untyped]  # ships no types

from devstack import Stack
from events.conf import EventsSettings
from events.envelope import Envelope
from events.errors import EventsError
from events.kafka import Acknowledged, BrokerRefuses, BrokersAway, Ended, Producer, UnknownTopic
from tests.integration.raw_records import Topic
from tests.integration.relaying import all_records, wait_for

Outcomes = SimpleQueue[Acknowledged | EventsError]


@pytest.fixture
def producer(parts: Stack) -> Iterator[Producer]:
    producer = Producer(EventsSettings.current())
    yield producer
    producer.close_now()


@pytest.fixture
def broker(parts: Stack) -> Iterator[Stack]:
    yield parts
    parts.kafka.resume()


@pytest.fixture
def narrow_topic(parts: Stack) -> str:
    """One partition, records of 2,000 bytes at most."""
    name = f"test-narrow-{uuid4().hex[:12]}"
    small = {"num_partitions": 1, "replication_factor": 1, "configs": {"max.message.bytes": "2000"}}
    with closing(KafkaAdminClient(bootstrap_servers=list(EventsSettings.current().brokers))) as admin:
        admin.create_topics({name: small}, wait_for_metadata=True)
    return name


def record(topic: str, value: bytes = b"{}", key: str = "k") -> Envelope:
    return Envelope(topic, key, (("h", b"1"), ("h", b"2")), value)


def test_a_record_is_acknowledged_with_its_place(producer: Producer, topic: Topic) -> None:
    outcomes: Outcomes = SimpleQueue()
    producer.send(record(topic.name), settled=outcomes.put)
    producer.send(record(topic.name), settled=outcomes.put)
    first, second = outcomes.get(timeout=10), outcomes.get(timeout=10)
    assert isinstance(first, Acknowledged)
    assert second == Acknowledged(first.partition, 1)
    assert [read.headers for read in all_records(topic.name)] == [[("h", b"1"), ("h", b"2")]] * 2


def test_close_now_ends_a_producer_whose_broker_does_not_answer(
    producer: Producer, topic: Topic, broker: Stack
) -> None:
    outcomes: Outcomes = SimpleQueue()
    producer.send(record(topic.name), settled=outcomes.put)
    assert isinstance(outcomes.get(timeout=10), Acknowledged)
    before = threading.active_count()
    broker.kafka.pause()
    producer.send(record(topic.name), settled=outcomes.put)
    began = time.monotonic()
    producer.close_now()
    assert time.monotonic() - began < 2
    assert isinstance(outcomes.get(timeout=1), Ended)
    assert threading.active_count() == before - 1
    producer.close_now()
    with pytest.raises(Ended):
        producer.send(record(topic.name), settled=outcomes.put)


def test_the_first_refusal_ends_it_before_anything_behind_is_written(narrow_topic: str) -> None:
    plain = Producer(replace(EventsSettings.current(), producer_compression="none", producer_linger_ms=200))
    outcomes: dict[bytes, Acknowledged | EventsError] = {}
    for value in (b"1", b"2", b"x" * 5_000, b"3", b"4"):
        plain.send(record(narrow_topic, value), settled=partial(outcomes.__setitem__, value))
    wait_for(lambda: len(outcomes) == 5)
    plain.close_now()
    assert {value[:1]: type(outcome) for value, outcome in outcomes.items()} == {
        b"1": Acknowledged,
        b"2": Acknowledged,
        b"x": BrokerRefuses,
        b"3": Ended,
        b"4": Ended,
    }
    assert [read.value for read in all_records(narrow_topic)] == [b"1", b"2"]


def test_a_record_above_the_client_s_own_limit_is_refused_and_harms_no_other(producer: Producer, topic: Topic) -> None:
    outcomes: Outcomes = SimpleQueue()
    with pytest.raises(BrokerRefuses, match="MessageSizeTooLargeError"):
        producer.send(record(topic.name, b"x" * 1_100_000), settled=outcomes.put)
    producer.send(record(topic.name), settled=outcomes.put)
    assert isinstance(outcomes.get(timeout=10), Acknowledged)


def test_a_missing_topic_is_told_soon_and_harms_no_other(producer: Producer, topic: Topic) -> None:
    outcomes: Outcomes = SimpleQueue()
    for name in (f"test-missing-{uuid4().hex}", "no topic's name"):
        began = time.monotonic()
        with pytest.raises(UnknownTopic):
            producer.send(record(name), settled=outcomes.put)
        assert time.monotonic() - began < 2
    producer.send(record(topic.name), settled=outcomes.put)
    assert isinstance(outcomes.get(timeout=10), Acknowledged)


def test_a_producer_starts_with_nobody_there_and_says_so_within_seconds() -> None:
    nobody = replace(EventsSettings.current(), brokers=("127.0.0.1:1",))
    outcomes: Outcomes = SimpleQueue()
    began = time.monotonic()
    lonely = Producer(nobody)
    with pytest.raises(BrokersAway):
        lonely.send(record("any"), settled=outcomes.put)
    lonely.close_now()
    assert time.monotonic() - began < 3
    assert outcomes.empty()
