"""`manage.py relay_outbox` as a process: signals, probes, and two of them on one outbox."""

import signal
import subprocess

import pytest

from devstack import Stack
from events.models import OutboxRecord
from tests.integration.relaying import (
    Noted,
    Topics,
    all_records,
    commit,
    first_arrivals,
    pending,
    relay_process,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def backlog(keys: int, of_each: int) -> dict[str, list[int]]:
    for n in range(of_each):
        commit(*(Noted(of=str(key), n=n) for key in range(keys)))
    return {str(key): list(range(of_each)) for key in range(keys)}


def published() -> int:
    return OutboxRecord.objects.filter(published_at__isnull=False).count()


def test_once_ends_when_nothing_is_left(own_topics: Topics) -> None:
    expected = backlog(keys=30, of_each=20)
    with relay_process("--once") as relay:
        assert relay.exit_code() == 0
    assert pending() == 0
    assert first_arrivals(all_records(own_topics.user_events)) == expected


def test_sigterm_lets_what_is_on_its_way_arrive_and_marks_it(own_topics: Topics, broker: Stack) -> None:
    backlog(keys=10, of_each=1)
    with relay_process() as relay:
        wait_for(lambda: pending() == 0)
        broker.kafka.pause()
        backlog(keys=10, of_each=1)
        wait_for(lambda: not relay.is_ready())  # they are on their way, and nobody answers
        relay.signal(signal.SIGTERM)
        broker.kafka.resume()
        assert relay.exit_code() == 0
    assert published() == 20
    assert len(all_records(own_topics.user_events)) == 20


def test_sigterm_under_load_leaves_nothing_unmarked_in_kafka(own_topics: Topics) -> None:
    backlog(keys=50, of_each=30)
    with relay_process() as relay:
        wait_for(lambda: published() > 0)
        relay.signal(signal.SIGTERM)
        assert relay.exit_code() == 0
    assert len(all_records(own_topics.user_events)) == published()


def test_a_second_signal_ends_at_once(own_topics: Topics, broker: Stack) -> None:
    backlog(keys=1, of_each=1)
    with relay_process() as relay:
        wait_for(lambda: pending() == 0)
        broker.kafka.pause()
        backlog(keys=1, of_each=1)
        wait_for(lambda: not relay.is_ready())  # it is on its way for seconds
        relay.signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            relay.exit_code(within_s=1)
        relay.signal(signal.SIGTERM)
        assert relay.exit_code(within_s=5) == 1  # what is on its way takes longer


def test_probes_answer_and_metrics_count(own_topics: Topics) -> None:
    backlog(keys=3, of_each=1)
    with relay_process() as relay:
        wait_for(relay.is_ready)
        wait_for(lambda: pending() == 0)
        assert relay.get("/healthz") == '{"status": "ok"}'
        counted = f'kafka_producer_messages_total{{topic="{own_topics.user_events}"}} 3.0'
        wait_for(lambda: counted in relay.get("/metrics"))


def test_drain_ends_when_nothing_is_pending_and_a_relay_takes_no_more_shards_than_it_may(own_topics: Topics) -> None:
    expected = backlog(keys=30, of_each=20)
    with relay_process("--drain", "--shards", "16", "--batch-size", "7") as few, relay_process("--drain") as others:
        assert few.exit_code() == 0
        assert others.exit_code() == 0
        wait_for(lambda: few.has_said('"shards": 16'))
    assert pending() == 0
    assert first_arrivals(all_records(own_topics.user_events)) == expected
