"""From the topic to the handlers: once each, in order, from the right place, whatever comes in between."""

import threading
from contextlib import ExitStack

import pytest
from django.core.management import call_command
from kafka import TopicPartition  # type: ignore[import-untyped]  # ships no types
from pytest_django import Settings

from devstack import Stack
from events.errors import Transient
from events.inbox import consumer
from events.models import ParkedDelivery
from events.routing import Delivery, RetryPolicy, Routes, on
from tests.integration.consuming import Member, admin, commit, committed, running
from tests.integration.counting import Counted, leave_row, raw, rows
from tests.integration.raw_records import Raw, Topic
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("effects")


def test_a_record_delivered_again_and_again_has_one_effect(topic: Topic) -> None:
    first = raw(1)
    topic.write(first, first, raw(2), first)
    for _ in range(2):
        Member(topic).run_once()
        assert committed(topic)[0] == 4
    commit(topic, {0: 0, 1: 0, 2: 0})
    Member(topic).run_once()
    assert rows() == [("ann", 1), ("ann", 2)]
    assert committed(topic)[0] == 4


def test_what_cannot_be_read_or_is_not_known_does_not_stop_the_rest(topic: Topic) -> None:
    newer = Raw(b"ann", b"{}", tuple((n, b"test.newer" if n == "ce_type" else v) for n, v in raw(0).headers))
    topic.write(Raw(None, b"junk"), raw(1), newer, Raw(b"ann", b'{"more": ' + b"[" * 200_000, raw(0).headers), raw(2))
    Member(topic).run_once()
    assert rows() == [("ann", 1), ("ann", 2)]
    assert sorted(ParkedDelivery.objects.values_list("offset", "reason")) == [
        (0, "unreadable: ce_specversion is not 1.0"),
        (3, "data-invalid: nested too deep"),
    ]


def test_a_failed_delivery_is_tried_again_by_the_consumer_and_its_key_follows_in_order(topic: Topic) -> None:
    calls: list[tuple[str, int]] = []

    def fail_twice(event: Counted, delivery: Delivery) -> None:
        calls.append((event.name, event.n))
        leave_row(event, delivery)
        if calls.count(("ann", 2)) < 3 and event.n == 2 and event.name == "ann":
            raise ValueError("not yet")

    topic.write(raw(1), raw(2), raw(3), raw(1, "bob"))
    quick = RetryPolicy(first_s=0.01, most_s=0.01)
    with running(Member(topic, Routes(on(Counted, fail_twice, name="tested", retry=quick)))):
        wait_for(lambda: len(rows()) == 4)
    assert rows("ann") == [("ann", 1), ("ann", 2), ("ann", 3)]
    assert rows().index(("bob", 1)) < rows().index(("ann", 2))
    assert committed(topic)[0] == 4
    assert ParkedDelivery.objects.count() == 0


def test_what_one_member_cannot_settle_goes_on_at_another_in_order(topic: Topic) -> None:
    def refuse(event: Counted, _: Delivery) -> None:
        refused.add(event.name)
        raise ValueError("never here")

    refused: set[str] = set()
    names = {f"name-{partition}" for partition in range(3)}
    for partition in range(3):
        topic.write(*(raw(n, f"name-{partition}") for n in range(3)), partition=partition)
    with ExitStack() as stack:
        stuck = stack.enter_context(
            running(Member(topic, Routes(on(Counted, refuse, name="leave-row")), consumer_heartbeat_ms=300))
        )
        wait_for(lambda: refused == names)
        stack.enter_context(running(Member(topic, consumer_heartbeat_ms=300)))
        wait_for(rows)
        stuck.stop.ask()
        wait_for(lambda: len(rows()) == 9)
    for name in names:
        assert rows(name) == [(name, n) for n in range(3)]


def test_a_partition_that_was_held_goes_on_after_others_were_read_meanwhile(topic: Topic) -> None:
    def wait_for_the_cache(event: Counted, delivery: Delivery) -> None:
        if event.name == "ann" and away:
            raise Transient("the cache")
        leave_row(event, delivery)

    away = [True]
    topic.write(*(raw(n) for n in range(5)))
    routes = Routes(on(Counted, wait_for_the_cache, name="tested"))
    with running(Member(topic, routes, consumer_batch=2)) as member:
        wait_for(lambda: member.health.missing == "tested")
        topic.write(raw(0, "bob"), partition=1)
        wait_for(lambda: rows("bob"))
        away.clear()
        wait_for(lambda: rows("ann") == [("ann", n) for n in range(5)])
        wait_for(lambda: member.health.missing is None)


def test_a_database_that_goes_away_costs_waiting_and_nothing_else(topic: Topic, parts: Stack) -> None:
    def cut_at_2(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        if event.n == 2 and not cut:
            cut.append(True)
            parts.postgres.kill()
            waiting.start()

    def bring_back_when_noticed() -> None:
        wait_for(lambda: member.health.missing == "database")
        parts.postgres.start()

    cut: list[bool] = []
    waiting = threading.Thread(target=bring_back_when_noticed)
    member = Member(topic, Routes(on(Counted, cut_at_2, name="tested")))
    topic.write(*(raw(n) for n in range(5)))
    topic.write(raw(1, "bob"), partition=1)
    member.run_once()
    waiting.join()
    assert rows("ann") == [("ann", n) for n in range(5)]
    assert rows("bob") == [("bob", 1)]
    assert member.health.missing is None


def test_brokers_that_go_away_cost_waiting_and_nothing_else(topic: Topic, parts: Stack) -> None:
    def bring_back_when_noticed() -> None:
        wait_for(lambda: member.health.missing is None)
        parts.kafka.kill()
        wait_for(lambda: member.health.missing == "kafka")
        parts.kafka.start()
        wait_for(lambda: member.health.missing is None)
        topic.write(raw(2))

    def stop_at_2(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        if event.n == 2:
            member.stop.ask()

    topic.write(raw(1))
    member = Member(topic, Routes(on(Counted, stop_at_2, name="tested")))
    meanwhile = threading.Thread(target=bring_back_when_noticed)
    meanwhile.start()
    member.run()
    meanwhile.join()
    assert rows() == [("ann", 1), ("ann", 2)]
    assert committed(topic)[0] == 2


@pytest.mark.parametrize("offset", [1, 99])
def test_a_position_outside_the_log_starts_at_the_earliest_and_says_so(
    topic: Topic, offset: int, caplog: pytest.LogCaptureFixture
) -> None:
    topic.write(*(raw(n) for n in range(10)))
    with admin() as client:
        client.delete_records({TopicPartition(topic.name, 0): 5})
    commit(topic, {0: offset, 1: 0, 2: 0})
    with running(Member(topic, consumer_from="latest")):
        wait_for(lambda: rows() == [("ann", n) for n in range(5, 10)])
    assert "position out of range" in caplog.messages
    assert committed(topic)[0] == 10


def test_once_over_a_position_behind_the_log_s_end_reads_from_the_oldest_record(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "_POLL_S", 0.01)  # some end when the position is known and not yet refused
    topic.write(raw(1), raw(2))
    for _ in range(5):
        commit(topic, {0: 10, 1: 0, 2: 0})
        Member(topic).run_once()
        assert committed(topic)[0] == 2
    assert rows() == [("ann", 1), ("ann", 2)]


def test_the_command_handles_what_is_there_and_ends(topic: Topic, settings: Settings) -> None:
    settings.EVENTS = {**settings.EVENTS, "ROUTES": "tests.integration.counting.ROUTES"}
    topic.write(raw(1), raw(2))
    told = {"topics": topic.name, "group": topic.name, "consumer_port": 0, "once": True}
    call_command("consume_events", **told, consumer_from="earliest")
    call_command("consume_events", **told, consumer_from="latest")
    assert rows() == [("ann", 1), ("ann", 2)]
    assert committed(topic)[0] == 2
