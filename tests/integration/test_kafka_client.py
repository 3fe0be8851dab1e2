"""What we lean on in kafka-python, private calls too: a new version of it must pass here first."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient  # type: ignore[import-untyped]  # ships no types

from devstack import Stack
from events.conf import EventsSettings
from events.envelope import Envelope
from events.errors import EventsError
from events.kafka import Acknowledged, BrokerRefuses, BrokersAway, Ended, Producer, UnknownTopic
from tests.integration.raw_records import Topic
from tests.integration.relaying import all_records
from tests.waiting import wait_for

Client = Producer[Envelope]

PATIENCE_S = 10.0
ENOUGH = 3
IN_ANOTHER_PARTITION = "a"  # than "k", of the three


@pytest.fixture
def producer(parts: Stack) -> Iterator[Client]:
    producer = Client(EventsSettings.current())
    yield producer
    producer.close_now()


@pytest.fixture
def patient(parts: Stack) -> Iterator[Client]:
    """It would wait long for more, but for so few that are enough."""
    patience_ms = int(PATIENCE_S * 1000)
    settings = replace(EventsSettings.current(), producer_linger_ms=patience_ms, producer_batch_messages=ENOUGH)
    patient = Client(settings)
    yield patient
    patient.close_now()


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


def let_settle(producer: Client, topic: Topic) -> None:
    """Connect and find the topic, which the first record does."""
    producer.send(record(topic.name))
    outcomes_of(producer, 1)


def outcomes_of(producer: Client, number: int) -> list[tuple[bytes, Acknowledged | EventsError]]:
    """What became of so many records: value and outcome."""
    found: list[tuple[Envelope, Acknowledged | EventsError]] = []
    wait_for(lambda: found.extend(settled(producer)) or len(found) >= number)
    assert len(found) == number
    return [(envelope.value, outcome) for envelope, outcome in found]


def settled(producer: Client) -> list[tuple[Envelope, Acknowledged | EventsError]]:
    """What became of records within a moment."""
    producer.let_go()
    return list(producer.settled(wait_s=0.2))


def outcome_of_one(producer: Client) -> Acknowledged | EventsError:
    ((_, outcome),) = outcomes_of(producer, 1)
    return outcome


def test_a_record_is_acknowledged_with_its_place(producer: Client, topic: Topic) -> None:
    producer.send(record(topic.name))
    producer.send(record(topic.name))
    (_, first), (_, second) = outcomes_of(producer, 2)
    assert isinstance(first, Acknowledged)
    assert second == Acknowledged(first.partition, 1)
    assert [read.headers for read in all_records(topic.name)] == [[("h", b"1"), ("h", b"2")]] * 2


def test_what_goes_past_the_client_s_own_send_is_written_as_if_it_had_gone_through(
    producer: Client, topic: Topic
) -> None:
    headers = [("h", b"1"), ("\u00fc", b""), ("h", b"2")]
    through = [topic.producer.send(topic.name, b"{}", key.encode(), headers) for key in ("a", "b", "c", "d")]
    for key in ("a", "b", "c", "d"):
        producer.send(Envelope(topic.name, key, headers, b"{}"))
    outcomes_of(producer, 4)
    assert all(sent.get(10) for sent in through)
    written = [(read.partition, read.key, read.headers, read.value) for read in all_records(topic.name)]
    assert len(written) == 8
    assert all(written.count(one) == 2 for one in written)


def test_records_given_together_leave_together(topic: Topic) -> None:
    impatient = Client(replace(EventsSettings.current(), producer_linger_ms=0))
    for _ in range(500):
        impatient.send(record(topic.name))
    outcomes_of(impatient, 500)
    sent = impatient._client.metrics()["producer-metrics"]
    impatient.close_now()
    assert sent["records-per-request-avg"] == 500


def test_a_record_that_comes_alone_does_not_wait_for_others(patient: Client, topic: Topic) -> None:
    patient.send(record(topic.name))
    began = time.monotonic()
    assert isinstance(outcome_of_one(patient), Acknowledged)
    assert time.monotonic() - began < PATIENCE_S / 2


def test_while_others_are_on_their_way_a_record_waits_until_they_have_arrived(
    patient: Client, topic: Topic, broker: Stack
) -> None:
    let_settle(patient, topic)
    broker.kafka.pause()
    kept = patient._client._accumulator.has_undrained
    patient.send(record(topic.name))
    assert settled(patient) == []
    wait_for(lambda: not kept(), within_s=PATIENCE_S / 2)
    patient.send(record(topic.name))
    assert settled(patient) == []
    assert kept()
    broker.kafka.resume()
    began = time.monotonic()
    outcomes_of(patient, 2)
    assert time.monotonic() - began < PATIENCE_S / 2


def test_while_others_are_on_their_way_so_many_are_enough_to_go(patient: Client, topic: Topic, broker: Stack) -> None:
    let_settle(patient, topic)
    broker.kafka.pause()
    kept = patient._client._accumulator.has_undrained
    for key, goes in [("k", True), *[(IN_ANOTHER_PARTITION, False)] * (ENOUGH - 1), (IN_ANOTHER_PARTITION, True)]:
        patient.send(record(topic.name, key=key))
        assert settled(patient) == []
        if goes:
            wait_for(lambda: not kept(), within_s=PATIENCE_S / 2)
        assert kept() is not goes


def test_close_now_ends_a_producer_whose_broker_does_not_answer(producer: Client, topic: Topic, broker: Stack) -> None:
    producer.send(record(topic.name))
    assert isinstance(outcome_of_one(producer), Acknowledged)
    before, own = set(threading.enumerate()), producer._client._sender
    broker.kafka.pause()
    producer.send(record(topic.name))
    began = time.monotonic()
    producer.close_now()
    assert time.monotonic() - began < 2
    assert isinstance(outcome_of_one(producer), Ended)
    assert set(threading.enumerate()) <= before - {own}
    producer.close_now()
    with pytest.raises(Ended):
        producer.send(record(topic.name))


def test_the_first_refusal_ends_it_before_anything_behind_is_written(narrow_topic: str) -> None:
    plain = Client(replace(EventsSettings.current(), producer_compression="none", producer_linger_ms=200))
    for value in (b"1", b"2", b"x" * 5_000, b"3", b"4"):
        plain.send(record(narrow_topic, value))
    outcomes = outcomes_of(plain, 5)
    plain.close_now()
    assert {value[:1]: type(outcome) for value, outcome in outcomes} == {
        b"1": Acknowledged,
        b"2": Acknowledged,
        b"x": BrokerRefuses,
        b"3": Ended,
        b"4": Ended,
    }
    assert [read.value for read in all_records(narrow_topic)] == [b"1", b"2"]


def test_a_record_above_the_client_s_own_limit_is_refused_and_harms_no_other(producer: Client, topic: Topic) -> None:
    with pytest.raises(BrokerRefuses, match="MessageSizeTooLargeError"):
        producer.send(record(topic.name, b"x" * 1_100_000))
    producer.send(record(topic.name))
    assert isinstance(outcome_of_one(producer), Acknowledged)


def test_a_missing_topic_is_told_soon_and_harms_no_other(producer: Client, topic: Topic) -> None:
    for name in (f"test-missing-{uuid4().hex}", "no topic's name"):
        began = time.monotonic()
        with pytest.raises(UnknownTopic):
            producer.send(record(name))
        assert time.monotonic() - began < 2
    producer.send(record(topic.name))
    assert isinstance(outcome_of_one(producer), Acknowledged)


def test_a_topic_with_fewer_partitions_than_are_pinned_is_told_soon_and_harms_no_other(
    producer: Client, topic: Topic, narrow_topic: str
) -> None:
    # A key that is at home in a partition that is there, too: it would move when the others are.
    for key in ("a", "b", "c", "d"):
        began = time.monotonic()
        with pytest.raises(UnknownTopic, match=rf"^{narrow_topic} with 2 partitions, which are pinned: it has 1$"):
            producer.send(record(narrow_topic, key=key), partitions=2)
        assert time.monotonic() - began < 2
    producer.send(record(topic.name), partitions=3)
    assert isinstance(outcome_of_one(producer), Acknowledged)
    producer.send(record(narrow_topic), partitions=1)
    assert isinstance(outcome_of_one(producer), Acknowledged)


def test_a_producer_starts_with_nobody_there_and_says_so_within_seconds() -> None:
    nobody = replace(EventsSettings.current(), brokers=("127.0.0.1:1",))
    began = time.monotonic()
    lonely = Client(nobody)
    with pytest.raises(BrokersAway):
        lonely.send(record("any"))
    lonely.close_now()
    assert time.monotonic() - began < 3
    assert list(lonely.settled(wait_s=0)) == []
