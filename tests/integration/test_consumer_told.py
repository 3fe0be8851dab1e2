"""What the consumer tells: how far it is behind, what is set aside, each line under its event's trace."""

import logging

import pytest
from prometheus_client import REGISTRY

from events import observe
from events.errors import Permanent, Transient
from events.inbox import consumer as module
from events.inbox import store
from events.inbox.backlog import set_aside_measured
from events.inbox.opening import identity_of
from events.models import ParkedDelivery
from events.routing import Delivery, RetryPolicy, Routes, on
from tests.integration.batching import group_of, handle, oversleep, record
from tests.integration.consuming import Member, admin, running
from tests.integration.counting import Counted, leave_row, raw, rows
from tests.integration.raw_records import Raw, Topic
from tests.waiting import wait_for
from usercenter.logs import TraceFilter

pytestmark = pytest.mark.usefixtures("effects")

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"  # of what `raw` makes


def lag(topic: str, partition: int) -> float | None:
    return REGISTRY.get_sample_value("kafka_consumer_lag_records", {"topic": topic, "partition": str(partition)})


def set_aside(state: str) -> float | None:
    return REGISTRY.get_sample_value("inbox_set_aside_deliveries", {"state": state})


def test_lag_is_what_is_not_settled_of_each_partition_that_the_member_has(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait_for_ann(event: Counted, delivery: Delivery) -> None:
        if event.name == "ann":
            raise Transient("the cache")
        leave_row(event, delivery)

    monkeypatch.setattr(module, "_LOOK_EVERY_S", 0.1)
    topic.write(raw(1), raw(2), raw(3))
    topic.write(raw(1, "bob"), raw(2, "bob"), partition=1)
    with running(Member(topic, Routes(on(Counted, wait_for_ann, name="tested")))) as member:
        wait_for(lambda: len(rows("bob")) == 2)
        wait_for(lambda: [lag(topic.name, partition) for partition in range(3)] == [3, 0, 0])
        wait_for(lambda: member.health.missing == "tested")
    assert [lag(topic.name, partition) for partition in range(3)] == [None, None, None]


def test_lag_of_a_partition_that_went_is_told_no_more() -> None:
    observe.record_lag({("told", 0): 1, ("told", 1): 2})
    observe.record_lag({("told", 1): 3})
    assert (lag("told", 0), lag("told", 1)) == (None, 3)
    observe.record_lag({})


def test_what_is_set_aside_is_counted_by_what_it_waits_for() -> None:
    def refuse(event: Counted, _: Delivery) -> None:
        raise Permanent if event.name == "dead" else ValueError

    names = ["dead", "dead", "dead", "later", "later"]
    handle([record(raw(n, name), n) for n, name in enumerate(names)], refuse)
    with set_aside_measured(group_of()):
        wait_for(lambda: set_aside("dead") == 1)
        wait_for(lambda: [set_aside(state) for state in ("parked", "waiting", "behind-dead")] == [1, 1, 2])


def test_each_line_of_a_delivery_is_under_the_trace_of_its_event(
    topic: Topic, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    def stumble(event: Counted, delivery: Delivery) -> None:
        calls.append(event.n)
        if event.n == 2:
            raise Permanent
        if calls.count(1) == 1:
            raise ValueError
        if calls.count(1) == 2:
            oversleep()
        leave_row(event, delivery)

    caplog.handler.addFilter(TraceFilter())
    caplog.set_level(logging.INFO, logger="events")
    topic.write(raw(1), raw(2, "bob"))
    quick = RetryPolicy(first_s=0.01, most_s=0.01)
    with running(Member(topic, Routes(on(Counted, stumble, name="tested", retry=quick)))):
        wait_for(rows)
    told = [(line.getMessage(), vars(line)["trace_id"]) for line in caplog.records if hasattr(line, "handler")]
    assert sorted(told) == sorted((event, TRACE_ID) for event in ("delivery failed",) * 3 + ("dead letter", "handled"))


def test_a_record_that_cannot_be_read_is_known_by_its_cluster_and_place(topic: Topic) -> None:
    topic.write(Raw(None, b"junk"))
    Member(topic).run_once()
    (letter,) = ParkedDelivery.objects.all()
    with admin() as client:
        cluster = client.describe_cluster()["cluster_id"]
    assert letter.event_id == identity_of(store.record_of(letter), cluster)
    assert cluster
