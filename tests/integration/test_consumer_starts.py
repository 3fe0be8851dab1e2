"""Where a group or a partition begins: nothing is lost after the very first start, and nothing goes back."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from kafka import KafkaProducer, TopicPartition  # type: ignore[import-untyped]  # ships no types

from devstack import Stack
from events.conf import EventsSettings
from events.errors import Transient
from events.inbox import positions
from events.inbox.consumer import Consumer, Gone
from events.inbox.group import Group
from events.kafka import Admin, NoOffset, Place
from events.kafka import Consumer as KafkaConsumer
from events.kafka import _consumer as kafka_consumer
from events.models import InboxHorizon, InboxRecord
from events.probes import Health
from events.routing import Delivery, Routes, on
from events.stop import Stop
from tests.faults.proxy import in_front_of
from tests.integration.consuming import Member, admin, commit, committed, running
from tests.integration.counting import ROUTES, Counted, leave_row, raw, rows
from tests.integration.raw_records import Topic
from tests.waiting import wait_for

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
        wait_for(lambda: has_no_offsets(kafka))
        positions.begin(kafka, {(topic.name, 0)}, topics=[topic.name], group=topic.name, start_from="latest")
        assert kafka.committed((topic.name, 1), timeout_s=5) == 1
        assert kafka.partitions_of("a topic that nobody has asked for") == frozenset()
    topic.write(raw(2))
    topic.write(raw(3), partition=1)
    Member(topic, consumer_from="latest").run_once()
    assert sorted(rows()) == [("ann", 2), ("ann", 3)]


def test_the_first_start_is_decided_once_for_all_topics(topic: Topic, other: Topic) -> None:
    topic.write(raw(1))
    other.write(raw(2), partition=1)
    read_once(topic, other)
    assert rows() == []
    assert committed(topic) == {0: 1, 1: 0, 2: 0}
    with admin() as client:
        of_group = client.list_group_offsets(topic.name)[topic.name]
    assert [of_group[TopicPartition(other.name, partition)].offset for partition in range(3)] == [0, 1, 0]


def test_a_topic_that_a_group_with_offsets_subscribes_to_is_read_from_its_first_record(
    topic: Topic, other: Topic
) -> None:
    commit(topic, {0: 0, 1: 0, 2: 0})
    other.write(raw(1))
    read_once(topic, other)
    assert rows() == [("ann", 1)]


@pytest.mark.parametrize("is_pruned", [False, True])
def test_a_group_whose_offsets_have_expired_reads_what_came_since(topic: Topic, *, is_pruned: bool) -> None:
    topic.write(raw(1))
    Member(topic).run_once()
    with admin() as client:
        client.delete_groups([topic.name])
    assert committed(topic) == {}
    if is_pruned:
        InboxHorizon.objects.create(group=topic.name, before=datetime(2026, 1, 1, tzinfo=UTC))
        InboxRecord.objects.all().delete()
    topic.write(raw(2))
    Member(topic, consumer_from="latest").run_once()
    assert rows()[-1] == ("ann", 2)


def test_what_another_group_received_makes_no_start_a_later_one(topic: Topic) -> None:
    InboxRecord.objects.create(group="another", event_id=uuid4())
    InboxHorizon.objects.create(group="another", before=datetime(2026, 1, 1, tzinfo=UTC))
    topic.write(raw(1))
    Member(topic, consumer_from="latest").run_once()
    assert rows() == []


def test_a_topic_that_was_deleted_and_made_anew_is_read_from_its_first_record(topic: Topic) -> None:
    topic.write(raw(1), raw(2))
    Member(topic).run_once()
    with admin() as client:
        client.delete_topics([topic.name])
        wait_for(lambda: topic.name not in client.list_topics())
    make_topic(topic.name)
    wait_for(lambda: committed(topic) == {})
    topic.write(raw(3))
    Member(topic, consumer_from="latest").run_once()
    assert rows() == [("ann", 1), ("ann", 2), ("ann", 3)]


def test_a_database_that_is_away_at_the_very_first_start_is_waited_for(topic: Topic, parts: Stack) -> None:
    def bring_back_when_noticed() -> None:
        wait_for(lambda: member.health.missing == "database")
        parts.postgres.start()

    topic.write(raw(1))
    member = Member(topic, consumer_from="latest")
    parts.postgres.kill()
    with ThreadPoolExecutor(1) as thread:
        back = thread.submit(bring_back_when_noticed)
        member.run_once()
        back.result()
    assert rows() == []
    assert committed(topic)[0] == 1
    assert member.health.missing is None


@pytest.fixture
def other(topic: Topic) -> Topic:
    """A second topic, for the same group."""
    make_topic(topic.name + "-other")
    return Topic(topic.name + "-other", topic.producer)


def make_topic(name: str) -> None:
    with closing(Admin(EventsSettings.current())) as client:
        client.create_topic(name)


def read_once(*topics: Topic) -> None:
    """A member at `latest`, of the group named as the first topic, until the end of what is there."""
    group = topics[0].name
    settings = replace(EventsSettings.current(), group=group, consumer_from="latest")
    names = [topic.name for topic in topics]
    group_of_all = Group(name=group, routes=ROUTES)
    Consumer(settings=settings, topics=names, group=group_of_all, health=Health()).run(Stop(), once=True)


def test_the_end_of_a_transaction_counts_as_read_and_is_committed(topic: Topic) -> None:
    with closing(transactional(topic)) as producer:
        for ends in (producer.commit_transaction, producer.abort_transaction):
            producer.begin_transaction()
            Topic(topic.name, producer).write(raw(1))
            ends()
    Member(topic).run_once()
    assert committed(topic)[0] == 4
    Member(topic).run_once()
    with running(Member(topic)) as member:
        wait_for(lambda: member.consumer._offsets.behind().get((topic.name, 0)) == 0)


def transactional(topic: Topic) -> KafkaProducer:
    producer = KafkaProducer(bootstrap_servers=list(EventsSettings.current().brokers), transactional_id=topic.name)
    producer.init_transactions()
    return producer


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
        wait_for(lambda: committed(topic))
        with admin() as client:
            client.create_partitions({topic.name: 4})
        write_to_the_new_partition(topic)
        topic.write(raw(1, "bob"))
        wait_for(lambda: len(rows()) == 3)
    assert rows("ann") == [("ann", 1), ("ann", 2)]


def write_to_the_new_partition(topic: Topic) -> None:
    with closing(KafkaProducer(bootstrap_servers=list(EventsSettings.current().brokers))) as producer:
        wait_for(lambda: 3 in producer.partitions_for(topic.name))
        Topic(topic.name, producer).write(raw(1), raw(2), partition=3)


def test_a_member_that_starts_while_no_broker_answers_begins_when_one_does(topic: Topic, parts: Stack) -> None:
    topic.write(raw(1))
    with in_front_of(parts.kafka) as proxy:
        proxy.refuse()
        with running(Member(topic, brokers=(proxy.address,))) as member:
            wait_for(lambda: member.health.missing == "kafka")
            proxy.heal()
            wait_for(lambda: rows() == [("ann", 1)])
            wait_for(lambda: member.health.missing is None)


def test_of_a_partition_that_went_and_came_back_nothing_from_before_is_committed(
    topic: Topic, caplog: pytest.LogCaptureFixture
) -> None:
    def wait_from_2_on(event: Counted, delivery: Delivery) -> None:
        if event.n > 1:
            raise Transient("the cache")
        leave_row(event, delivery)

    caplog.set_level("INFO", logger="events")
    never = {"consumer_commit_interval_ms": 3_600_000, "consumer_heartbeat_ms": 300}
    with running(Member(topic, Routes(on(Counted, wait_from_2_on, name="tested")), **never)) as member:
        write_to_each(topic, 0, 1)
        wait_for(lambda: len(rows()) == 6)
        write_to_each(topic, 2, 3)
        wait_for(lambda: member.health.missing == "tested")
        went = settles_its_share_and_leaves(topic, caplog)
        # The first one need not have noticed that it had less for a moment.
        wait_for(lambda: has_one_member(topic) and owned(caplog)[-1] == 3)
    assert 0 < len(went) < 3
    assert committed(topic) == {partition: 4 if partition in went else 2 for partition in range(3)}
    assert len(rows()) == 6


def has_one_member(topic: Topic) -> bool:
    with admin() as client:
        group = client.describe_groups([topic.name])[topic.name]
    return group["group_state"] == "Stable" and len(group["members"]) == 1


def write_to_each(topic: Topic, *numbers: int) -> None:
    for partition in range(3):
        topic.write(*(raw(n, f"name-{partition}") for n in numbers), partition=partition)


def settles_its_share_and_leaves(topic: Topic, caplog: pytest.LogCaptureFixture) -> set[int]:
    """Another member, which commits the ends of its partitions and handles nothing; gives which it had.

    It stays until both clients were told: one that skips a change of the group hears nothing of what it had less. It
    goes on polling for that: the other may join once more, and who does so waits for all.
    """
    caplog.set_level("INFO", logger="kafka.coordinator.consumer")
    settings = replace(EventsSettings.current(), group=topic.name, consumer_heartbeat_ms=300)
    with closing(KafkaConsumer(settings, topics=[topic.name], assignments=Gone())) as kafka:
        wait_for(lambda: kafka.poll(timeout_s=0.1) or kafka.assignment())
        mine = kafka.assignment()
        kafka.commit(dict.fromkeys(mine, 4), timeout_s=5)
        wait_for(lambda: not kafka.poll(timeout_s=0.1) and the_rest_is_assigned(caplog, mine))
    return {partition for _, partition in mine}


def the_rest_is_assigned(caplog: pytest.LogCaptureFixture, mine: frozenset[Place]) -> bool:
    """Whether the other client was told what it has less by these."""
    told = [vars(line)["args"][0] for line in caplog.records if "newly assigned" in line.getMessage()]
    return any(places and mine.isdisjoint(places) for places in told)


def owned(caplog: pytest.LogCaptureFixture) -> list[int]:
    """How many partitions the member had, from its beginning."""
    return [len(vars(line)["partitions"]) for line in caplog.records if line.getMessage() == "consumer owns"]


def test_what_went_is_noted_though_it_came_back_before_anybody_looked_and_what_stayed_is_not() -> None:
    ours, theirs = ("told", 0), ("told", 1)
    gone = Gone()
    gone.assigned(frozenset({ours, theirs}))
    for places in ({ours}, {ours, theirs}):
        gone.revoked(frozenset({ours, theirs}))
        gone.assigned(frozenset(places))
    assert gone.take() == {theirs}
    gone.lost(frozenset({ours}))
    gone.assigned(frozenset({ours}))
    assert gone.take() == {ours}
    assert gone.take() == set()
