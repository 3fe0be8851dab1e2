"""The broker or the database goes away under load: nothing is lost, first arrivals in order, no attempt burnt."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from django.db import connection
from django.db.models import Max

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
    relaying,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = 8
SHORT_MS = 1_500


@pytest.fixture
def parts_well(parts: Stack) -> Iterator[Stack]:
    """What a test ends or pauses runs again after it."""
    yield parts
    parts.kafka.resume()
    parts.kafka.start()


@contextmanager
def load() -> Iterator[list[int]]:
    """A writer that commits the next number of each key about 100 times a second; at the end how many."""
    is_over, written = threading.Event(), [0]

    def write() -> None:
        while not is_over.wait(0.01):
            commit(*(Noted(of=str(key), n=written[0]) for key in range(KEYS)))
            written[0] += 1
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield written
    finally:
        is_over.set()
        writer.join()


def assert_nothing_is_lost_or_out_of_order(topics: Topics, written: list[int]) -> None:
    assert first_arrivals(all_records(topics.user_events)) == {str(key): list(range(written[0])) for key in range(KEYS)}
    assert OutboxRecord.objects.aggregate(most=Max("attempts"))["most"] == 0


def has_published(at_least: int) -> bool:
    return published() >= at_least


def published() -> int:
    return OutboxRecord.objects.filter(published_at__isnull=False).count()


def test_a_record_stays_pending_while_no_broker_acknowledges(own_topics: Topics, parts_well: Stack) -> None:
    parts_well.kafka.kill()
    with relaying() as health:
        commit(Noted(of="user", n=1))
        wait_for(lambda: health.missing == "kafka")
        assert pending() == 1
        parts_well.kafka.start()
        wait_for(lambda: pending() == 0)
        wait_for(lambda: health.missing is None)
    assert OutboxRecord.objects.get().attempts == 0


def test_the_broker_is_killed_under_load_for_longer_than_a_delivery_may_take(
    own_topics: Topics, parts_well: Stack
) -> None:
    with relaying(producer_delivery_timeout_ms=SHORT_MS) as health, load() as written:
        wait_for(lambda: published() > 100)
        parts_well.kafka.kill()
        wait_for(lambda: health.missing == "kafka")
        parts_well.kafka.start()
        wait_for(lambda: health.missing is None)
        had = published()
        wait_for(lambda: published() > had + 100)
    with relaying():
        wait_for(lambda: pending() == 0)
    assert_nothing_is_lost_or_out_of_order(own_topics, written)


def test_the_broker_hangs_under_load_for_longer_than_a_delivery_may_take(own_topics: Topics, parts_well: Stack) -> None:
    with relaying(producer_delivery_timeout_ms=SHORT_MS) as health, load() as written:
        wait_for(lambda: published() > 100)
        parts_well.kafka.pause()
        wait_for(lambda: health.missing == "kafka")
        parts_well.kafka.resume()
        had = published()
        wait_for(lambda: published() > had + 100)
    with relaying():
        wait_for(lambda: pending() == 0)
    assert_nothing_is_lost_or_out_of_order(own_topics, written)


def test_the_database_ends_every_session_of_the_relay_under_load(own_topics: Topics) -> None:
    with relay_process() as relay, load() as written:
        wait_for(lambda: published() > 50)
        for _ in range(3):
            end_other_sessions()
            at_least = published() + 50
            wait_for(partial(has_published, at_least))
        wait_for(relay.is_ready)
    with relaying():
        wait_for(lambda: pending() == 0)
    assert_nothing_is_lost_or_out_of_order(own_topics, written)


def end_other_sessions() -> None:
    """Of the relay's process: reading, marking and the lock's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = 'relay under test'"
        )


def test_postgresql_restarts_under_the_relay(own_topics: Topics, parts_well: Stack) -> None:
    commit(*(Noted(of=str(key), n=0) for key in range(KEYS)))
    with relay_process() as relay:
        wait_for(lambda: pending() == 0)
        connection.close()
        parts_well.postgres.stop()
        wait_for(lambda: relay.has_said('"part": "database"'))
        parts_well.postgres.start()
        commit(*(Noted(of=str(key), n=1) for key in range(KEYS)))
        wait_for(lambda: pending() == 0)
    assert_nothing_is_lost_or_out_of_order(own_topics, [2])


def test_an_idle_relay_notices_a_record_within_a_second(own_topics: Topics) -> None:
    with relaying():
        commit(Noted(of="user", n=1))
        wait_for(lambda: pending() == 0)
        took_s = []
        for n in (2, 3, 4):
            began = time.monotonic()
            commit(Noted(of="user", n=n))
            wait_for(lambda: pending() == 0)
            took_s.append(time.monotonic() - began)
    assert min(took_s) < 1  # a busy machine delays some, not all
