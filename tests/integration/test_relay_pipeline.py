"""The relay's pipeline: few statements, a bounded window, thousands held back, and marks that outlive their session."""

import threading
import time
from contextlib import closing
from typing import Any

import pytest
from django.db import connection

from devstack import Stack
from events.conf import EventsSettings
from events.kafka import _producer
from events.models import OutboxRecord
from events.outbox import marker
from events.outbox import pipeline as pipeline_module
from events.outbox.pipeline import WINDOW_BYTES, Pipeline
from events.outbox.session import Session
from tests.integration.driving import (
    all_arrivals,
    create,
    each_in_order,
    has_pending,
    make_pipeline,
    prepare,
    send_all,
    turn,
    turn_until,
)
from tests.integration.reading import ALL, make, other_session, write
from tests.integration.relaying import (
    Elsewhere,
    Noted,
    Topics,
    all_records,
    commit,
    first_arrivals,
    pending,
    relaying,
)
from tests.waiting import LIMIT_S, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_thousand_records_take_four_statements_at_most(own_topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    make(10_000, topic=own_topics.user_events)
    statements: list[str] = []
    run = Session.run

    def counted(session: Session, statement: str, parameters: Any = ()) -> list[Any]:
        if pending_left.is_set():
            statements.append(statement)
        return run(session, statement, parameters)

    pending_left = threading.Event()
    pending_left.set()
    monkeypatch.setattr(Session, "run", counted)
    # However slow the machine is: marks by number and at the end, looks by progress, nothing by time.
    monkeypatch.setattr(marker, "_WITHIN_S", LIMIT_S)
    monkeypatch.setattr(pipeline_module, "_QUIET_S", LIMIT_S)
    with relaying():
        wait_for(lambda: pending() == 0)
        pending_left.clear()
    assert len(statements) <= 40


def test_the_window_is_bounded_in_records_while_nobody_acknowledges(pipeline: Pipeline, broker: Stack) -> None:
    make(10_000, topic=EventsSettings.current().topics["user_events"])
    broker.kafka.pause()
    for _ in range(30):
        turn(pipeline)
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
        wait_for(lambda: OutboxRecord.objects.filter(topic=missing, attempts__gte=1).exists())
        commit(*(Noted(of=f"well-{n}", n=0) for n in range(10)))
        wait_for(lambda: not OutboxRecord.objects.filter(key__startswith="well", published_at=None).exists())
        assert OutboxRecord.objects.filter(topic=missing, attempts__gt=0).count() == 1
        assert pending() == 20_000
        create(missing)
        wait_for(lambda: pending() == 0)
    kept = OutboxRecord.objects.filter(topic=missing).order_by("id")
    assert list(kept.values_list("offset", flat=True)) == list(range(20_000))
    assert len({record.partition for record in kept.only("partition")}) == 1
    assert len(all_records(missing)) == 20_000


def test_what_the_client_holds_does_not_leave_once_the_shards_may_be_another_s(
    own_topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine is, what is held does not go by time alone.
    monkeypatch.setattr(_producer, "_HELD_MS", 600_000)
    is_back = threading.Event()
    commit(*(Noted(of=f"k{key}", n=n) for n in range(3) for key in range(20)))
    # Fresh at the sending of each, and no more when all are given.
    stale = make_pipeline(batch=500, window=2_000, is_fresh=lambda: bool(stale._window.next) or is_back.is_set())
    with closing(stale):
        prepare(stale)
        stale.read(ALL)
        stale.send()
        assert stale._window.on_their_way == 60
        for _ in range(10):
            assert not stale.collect()
        stale.start_over()
        assert all_records(own_topics.user_events) == []

        is_back.set()
        turn_until(stale, lambda: pending() == 0)
    assert all_arrivals(own_topics.user_events) == each_in_order(keys=20, times=3)


def test_a_missing_topic_holds_back_all_its_keys_with_one_statement_and_no_key_of_another(
    own_topics: Topics, missing_topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals: list[str] = []
    run = Session.run

    def counted(session: Session, statement: str, parameters: Any = ()) -> list[Any]:
        if "set attempts = attempts + 1" in statement:
            refusals.append(statement)
        return run(session, statement, parameters)

    monkeypatch.setattr(Session, "run", counted)
    for n in range(2):
        for keys in (range(750), range(750, 1_500)):
            commit(*(Elsewhere(of=f"k{key}", n=n) for key in keys), *(Noted(of=f"k{key}", n=n) for key in range(100)))

    with closing(make_pipeline(batch=4_000, window=8_000)) as wide:
        prepare(wide)
        wide.read(ALL)
        send_all(wide)
        assert len(refusals) == 1
        assert len(wide._window) == 400
        assert OutboxRecord.objects.filter(topic=missing_topic, attempts=1).count() == 1_500

        turn_until(wide, lambda: OutboxRecord.objects.filter(topic=missing_topic, attempts__gte=2).exists())
        commit(*(Noted(of=f"later-{key}", n=0) for key in range(100)))
        began = time.monotonic()
        turn_until(wide, lambda: not has_pending(own_topics.user_events))
        assert time.monotonic() - began < 5

        create(missing_topic)
        turn_until(wide, lambda: pending() == 0)
    assert all_arrivals(missing_topic) == each_in_order(keys=1_500, times=2)
