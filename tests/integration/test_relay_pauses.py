"""A topic that is paused waits in the outbox, out of the relay's memory; no other waits with it."""

import time
from datetime import datetime

import pytest

from events.outbox.partitions import go_on, pause, pin
from events.outbox.pipeline import Pipeline
from tests.integration.driving import (
    all_arrivals,
    create,
    each_in_order,
    has_pending,
    send_all,
    turn,
    turn_until,
)
from tests.integration.reading import ALL
from tests.integration.relaying import Elsewhere, Noted, Topics, all_records, commit, pending
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

PARTITIONS = 3  # of each topic that a test has made


def pin_and_pause(topic: str) -> datetime:
    """Gives the pause's own time, which ends it."""
    pin(topic, PARTITIONS)
    paused_at = pause(topic)
    assert paused_at
    return paused_at


def learn_of_the_pause(pipeline: Pipeline) -> None:
    """As both reading and sending do, without either."""

    def has_learnt() -> bool:
        pipeline._pins.renew()
        return bool(pipeline._pins.paused)

    wait_for(has_learnt)


def publish_interleaved(*, keys: int, times: int) -> None:
    """To both topics in turn, each key's 0, 1, 2, … in order."""
    for n in range(times):
        commit(*(kind(of=f"k{key}", n=n) for key in range(keys) for kind in (Noted, Elsewhere)))


def turn_until_the_others_are_through(pipeline: Pipeline, topics: Topics) -> None:
    """Then nothing is in memory, not even of the paused topic."""
    turn_until(pipeline, lambda: not has_pending(topics.user_events))
    turn_until(pipeline, lambda: pipeline.is_empty and not pipeline._reader._known)


def assert_all_comes_after_the_pause(pipeline: Pipeline, topics: Topics, paused_at: datetime, *, times: int) -> None:
    assert go_on(topics.user_analytics, paused_at=paused_at, partitions=PARTITIONS)
    turn_until(pipeline, lambda: pending() == 0)
    assert all_arrivals(topics.user_analytics) == each_in_order(keys=50, times=times)
    assert all_arrivals(topics.user_events) == each_in_order(keys=50, times=times)


def test_a_topic_paused_before_it_is_read_stops_no_other_and_takes_no_memory(
    pipeline: Pipeline, own_topics: Topics
) -> None:
    paused_at = pin_and_pause(own_topics.user_analytics)
    publish_interleaved(keys=50, times=50)
    learn_of_the_pause(pipeline)

    pipeline.read(ALL)
    assert len(pipeline._window) == 250
    turn_until_the_others_are_through(pipeline, own_topics)
    assert pending() == 2_500
    assert all_records(own_topics.user_analytics) == []
    assert_all_comes_after_the_pause(pipeline, own_topics, paused_at, times=50)


def test_a_topic_paused_after_it_was_read_leaves_the_queue_and_comes_later(
    pipeline: Pipeline, own_topics: Topics
) -> None:
    publish_interleaved(keys=50, times=20)
    for _ in range(4):
        pipeline.read(ALL)
    assert len(pipeline._window) == pending() == 2_000
    paused_at = pin_and_pause(own_topics.user_analytics)
    learn_of_the_pause(pipeline)

    send_all(pipeline)
    assert pipeline._window.on_their_way == len(pipeline._window) == 1_000
    turn_until_the_others_are_through(pipeline, own_topics)
    assert all_records(own_topics.user_analytics) == []
    assert_all_comes_after_the_pause(pipeline, own_topics, paused_at, times=20)


def test_a_key_held_back_in_a_topic_that_is_paused_comes_due_afterwards_in_order(
    pipeline: Pipeline, missing_topic: str
) -> None:
    commit(*(Elsewhere(of="k0", n=n) for n in range(10)))
    turn(pipeline)
    [held] = pipeline._reader._held._held.values()
    paused_at = pin_and_pause(missing_topic)
    learn_of_the_pause(pipeline)
    create(missing_topic)
    wait_for(lambda: time.monotonic() > held.until)
    pipeline.read(ALL)
    assert pipeline.is_empty
    turn(pipeline)
    assert all_records(missing_topic) == []

    assert go_on(missing_topic, paused_at=paused_at, partitions=PARTITIONS)
    turn_until(pipeline, lambda: pending() == 0)
    assert all_arrivals(missing_topic) == each_in_order(keys=1, times=10)


def test_a_key_held_back_that_is_tried_again_as_its_topic_is_paused_comes_in_order(
    pipeline: Pipeline, missing_topic: str
) -> None:
    commit(*(Elsewhere(of="k0", n=n) for n in range(10)))
    turn(pipeline)
    create(missing_topic)

    def has_read_its_head() -> bool:
        pipeline.read(ALL)
        return not pipeline.is_empty

    wait_for(has_read_its_head)
    paused_at = pin_and_pause(missing_topic)
    learn_of_the_pause(pipeline)
    pipeline.send()
    assert pipeline.is_empty

    assert go_on(missing_topic, paused_at=paused_at, partitions=PARTITIONS)
    turn_until(pipeline, lambda: pending() == 0)
    assert all_arrivals(missing_topic) == each_in_order(keys=1, times=10)
