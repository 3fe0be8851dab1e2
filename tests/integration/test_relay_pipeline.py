"""The relay's pipeline: few statements, a bounded window, and marks that outlive their session."""

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection

from devstack import Stack
from events.conf import EventsSettings
from events.models import OutboxRecord
from events.outbox.pipeline import WINDOW_BYTES, Pipeline
from events.outbox.session import Session
from tests.integration.reading import ALL, make, other_session, write
from tests.integration.relaying import (
    Noted,
    Topics,
    all_records,
    commit,
    database_url,
    first_arrivals,
    pending,
    relaying,
    wait_for,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker(parts: Stack) -> Iterator[Stack]:
    """The parts, whose broker answers again afterwards."""
    yield parts
    parts.kafka.resume()


@pytest.fixture
def pipeline(own_topics: Topics) -> Iterator[Pipeline]:
    settings = replace(EventsSettings.current(), database_direct_url=database_url(), outbox_window=2_000)
    with closing(Pipeline(settings, batch=500, is_fresh=lambda: True)) as one:
        one.prepare()
        yield one


def test_a_thousand_records_take_four_statements_at_most(own_topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    make(20_000, topic=own_topics.user_events)
    statements: list[str] = []
    run = Session.run

    def counted(session: Session, statement: str, parameters: Any = ()) -> list[Any]:
        if pending_left.is_set():
            statements.append(statement)
        return run(session, statement, parameters)

    pending_left = threading.Event()
    pending_left.set()
    monkeypatch.setattr(Session, "run", counted)
    with relaying():
        wait_for(lambda: pending() == 0)
        pending_left.clear()
    assert len(statements) <= 80


def test_the_window_is_bounded_in_records_while_nobody_acknowledges(pipeline: Pipeline, broker: Stack) -> None:
    make(10_000, topic=EventsSettings.current().topics["user_events"])
    broker.kafka.pause()
    for _ in range(30):
        pipeline.read(ALL)
        pipeline.send()
        pipeline.collect()
        pipeline.mark()
    assert len(pipeline._window) == 2_000
    assert len(pipeline._reader._known) == 2_000


def test_the_window_is_bounded_in_bytes(pipeline: Pipeline) -> None:
    for n in range(10):
        commit(*(Noted(of=f"user-{n}", n=k, text="x" * 900_000) for k in range(8)))
    while not pipeline.read(ALL):
        pass
    for _ in range(10):
        pipeline.read(ALL)
    assert WINDOW_BYTES < pipeline._window.bytes < WINDOW_BYTES + 1_000_000


def test_what_is_acknowledged_is_marked_and_not_sent_again_when_marking_is_interrupted(own_topics: Topics) -> None:
    with relaying():
        for n in range(40):
            commit(*(Noted(of=str(key), n=n) for key in range(50)))
            end_marking_session()
        wait_for(lambda: pending() == 0)
    records = all_records(own_topics.user_events)
    assert len(records) == 2_000
    assert first_arrivals(records) == {str(key): list(range(40)) for key in range(50)}


def end_marking_session() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and query like '%%with marked as%%' and pid <> pg_backend_pid()"
        )


def test_a_late_commit_arrives_before_what_its_key_got_later(own_topics: Topics) -> None:
    with relaying(), other_session() as late:
        early = write(late, "A", topic=own_topics.user_events)
        make(1, key="B", topic=own_topics.user_events)
        wait_for(lambda: OutboxRecord.objects.filter(key="B", published_at__isnull=False).exists())
        late.commit()
        make(1, key="A", topic=own_topics.user_events)
        wait_for(lambda: pending() == 0)
    kept = OutboxRecord.objects.filter(key="A").order_by("id")
    assert kept[0].id == early
    assert [record.offset for record in kept] == sorted(record.offset or 0 for record in kept)


def test_thousands_behind_a_poison_hold_up_nobody_and_follow_it(own_topics: Topics) -> None:
    missing = own_topics.user_events + "-missing"
    make(20_000, key="bad", topic=missing)
    with relaying():
        wait_for(lambda: OutboxRecord.objects.filter(topic=missing, attempts=1).exists())
        commit(*(Noted(of=f"well-{n}", n=0) for n in range(10)))
        wait_for(
            lambda: not OutboxRecord.objects.filter(key__startswith="well", published_at=None).exists(), within_s=5
        )
    assert OutboxRecord.objects.filter(topic=missing, attempts__gt=0).count() == 1


def test_a_copy_of_a_dead_record_is_delivered_while_the_relay_runs(own_topics: Topics) -> None:
    commit(Noted(of="user", n=1))
    OutboxRecord.objects.update(dead_at="2026-01-01T00:00:00Z")
    with relaying():
        commit(Noted(of="user", n=2))
        wait_for(lambda: pending() == 0)
        with connection.cursor() as cursor:
            cursor.execute(
                "insert into events_outbox (event_id, topic, key, shard, type, headers, value, requeue_of)"
                " select event_id, topic, key, shard, type, headers, value, id from events_outbox"
                " where dead_at is not null"
            )
        wait_for(lambda: pending() == 0, within_s=2)
    assert first_arrivals(all_records(own_topics.user_events)) == {"user": [2, 1]}
