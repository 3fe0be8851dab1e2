"""`manage.py outbox requeue | status` and the admin's requeue: dead records come back as copies."""

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

import pytest
from django.core.management import CommandError
from django.db import connection, connections, transaction
from django.utils import timezone

from events.models import OutboxRecord, TopicPartitions
from events.outbox.lock_session import LockSession
from events.outbox.publish import publish
from events.outbox.requeue import requeue
from events.outbox.store import CHANNEL, FLAG
from tests.integration.operating import acted, ids, operator, outbox
from tests.integration.relaying import (
    Noted,
    Topics,
    all_records,
    commit,
    database_url,
    first_arrivals,
    relaying,
)
from tests.waiting import LIMIT_S, wait_for

pytestmark = pytest.mark.django_db


def dead(*events: Noted) -> list[int]:
    """The ids of these events' records, which died."""
    before = set(ids())
    commit(*events)
    mine = [record_id for record_id in ids() if record_id not in before]
    OutboxRecord.objects.filter(id__in=mine).update(dead_at=timezone.now(), attempts=10, error="BrokerRefuses: x")
    return mine


def copies() -> list[tuple[int | None, str, int]]:
    """What each copy is of, in the order of the copies' ids."""
    found = OutboxRecord.objects.exclude(requeue_of=None).order_by("id")
    return [(copy.requeue_of, copy.key, Noted.from_json(bytes(copy.value)).n) for copy in found]


def test_a_dead_record_comes_back_as_a_copy_and_stays_as_it_was() -> None:
    [gone] = dead(Noted(of="a", n=1))
    before = OutboxRecord.objects.filter(id=gone).values_list().get()

    assert outbox("requeue", str(gone)) == ["requeued: 1"]

    copy, original = OutboxRecord.objects.get(requeue_of=gone), OutboxRecord.objects.get(id=gone)
    assert OutboxRecord.objects.filter(id=gone).values_list().get() == before
    assert copy.id > gone
    assert (copy.published_at, copy.dead_at, copy.attempts, copy.error) == (None, None, 0, "")
    assert copy.created_at > original.created_at
    carried = ("event_id", "topic", "key", "shard", "stream", "version", "type", "headers", "value")
    found = OutboxRecord.objects.order_by("id").values_list(*carried)
    assert found[0] == found[1]


def test_copies_keep_the_order_of_the_dead_whatever_the_order_they_are_named_in() -> None:
    a1, b1, a2 = *dead(Noted(of="a", n=1)), *dead(Noted(of="b", n=1)), *dead(Noted(of="a", n=2))

    outbox("requeue", str(a2), str(b1), str(a1))

    assert copies() == [(a1, "a", 1), (b1, "b", 1), (a2, "a", 2)]


def test_a_record_is_not_requeued_twice_unless_that_is_asked_for() -> None:
    [gone] = dead(Noted(of="a", n=1))
    outbox("requeue", str(gone))

    left = f"{gone}: left as it is: not dead, or requeued before (--again)"
    assert outbox("requeue", str(gone)) == [left, "requeued: 0"]
    assert outbox("requeue", "--all-dead") == ["requeued: 0"]
    assert outbox("requeue", str(gone), "--again") == ["requeued: 1"]
    assert [of for of, _, _ in copies()] == [gone, gone]


def test_a_copy_that_died_as_well_is_copied_by_itself() -> None:
    [gone] = dead(Noted(of="a", n=1))
    outbox("requeue", "--all-dead")
    copy = OutboxRecord.objects.get(requeue_of=gone)
    OutboxRecord.objects.filter(id=copy.id).update(dead_at=timezone.now())

    assert outbox("requeue", "--all-dead") == ["requeued: 1"]
    assert [of for of, _, _ in copies()] == [gone, copy.id]


def test_what_is_not_dead_is_left_as_it_is() -> None:
    commit(Noted(of="a", n=1))
    [pending] = ids()

    left = "left as it is: not dead, or requeued before (--again)"
    assert outbox("requeue", str(pending), "4711") == [f"{pending}: {left}", f"4711: {left}", "requeued: 0"]
    assert ids() == [pending]


def test_those_of_one_topic_or_all_of_them() -> None:
    [here], [there] = dead(Noted(of="a", n=1)), dead(Noted(of="b", n=2))
    OutboxRecord.objects.filter(id=there).update(topic="elsewhere")

    assert outbox("requeue", "--topic", "elsewhere") == ["requeued: 1"]
    assert copies() == [(there, "b", 2)]
    assert outbox("requeue", "--all-dead") == ["requeued: 1"]
    assert copies() == [(there, "b", 2), (here, "a", 1)]


@pytest.mark.parametrize("words", [[], ["1", "--all-dead"], ["--topic", "t", "--all-dead"]])
def test_which_ones_must_be_said_in_one_way(words: list[str]) -> None:
    with pytest.raises(CommandError, match=r"^Which ones\? IDs, or --topic, or --all-dead\.$"):
        outbox("requeue", *words)


@pytest.mark.django_db(transaction=True)
def test_many_go_in_transactions_of_500() -> None:
    with transaction.atomic():
        gone = dead(*(Noted(of=f"user-{n % 7}", n=n) for n in range(1_100)))

    assert requeue(gone) == gone

    found = OutboxRecord.objects.exclude(requeue_of=None).order_by("id").values_list("requeue_of", "xid")
    assert [of for of, _ in found] == gone
    assert len({number for _, number in found}) == 3


@pytest.mark.django_db(transaction=True)
def test_a_copy_comes_behind_what_an_open_transaction_has_published_of_its_key() -> None:
    [gone] = dead(Noted(of="a", n=1))
    thread = threading.Thread(target=lambda: (requeue([gone]), connections.close_all()))

    with transaction.atomic():
        publish(Noted(of="a", n=2))
        thread.start()
        wait_for(has_a_waiting_lock)
    thread.join(LIMIT_S)

    last = OutboxRecord.objects.order_by("-id").first()
    assert last is not None
    assert last.requeue_of == gone


def has_a_waiting_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_locks where locktype = 'advisory' and not granted")
        return bool(cursor.fetchone()[0])


@pytest.fixture
def session(transactional_db: None) -> Iterator[LockSession]:
    with closing(LockSession(database_url())) as session:
        session.listen(CHANNEL)
        yield session


def test_a_sleeping_relay_is_woken(session: LockSession) -> None:
    [gone] = dead(Noted(of="a", n=1))
    shard = OutboxRecord.objects.get(id=gone).shard
    session.ask("select pg_advisory_lock(%(flag)s, %(shard)s)", flag=FLAG, shard=shard)

    requeue([gone])

    assert session.heard(within_s=LIMIT_S) == [str(shard)]


@pytest.mark.django_db(transaction=True)
def test_a_running_relay_sends_the_copy_under_the_same_event_id(own_topics: Topics) -> None:
    commit(Noted(of="a", n=1))
    [gone] = dead(Noted(of="a", n=2))
    with relaying():
        wait_for(lambda: all_records(own_topics.user_events))
        commit(Noted(of="a", n=3))
        requeue([gone])
        wait_for(lambda: OutboxRecord.objects.filter(requeue_of=gone).exclude(published_at=None).exists())

    records = all_records(own_topics.user_events)
    assert first_arrivals(records) == {"a": [1, 3, 2]}
    assert dict(records[-1].headers)["ce_id"].decode() == str(OutboxRecord.objects.get(id=gone).event_id)


def test_the_admin_requeues_what_is_dead_among_the_chosen() -> None:
    [gone] = dead(Noted(of="a", n=1))
    commit(Noted(of="a", n=2))

    told = acted(OutboxRecord, "requeue_dead", ids(), by=operator())

    assert copies() == [(gone, "a", 1)]
    assert told == ["Requeued: 1; others are not dead, or were requeued before."]


def test_status_counts_by_topic_and_tells_a_pause(own_topics: Topics) -> None:
    dead(Noted(of="a", n=1))
    commit(Noted(of="a", n=2), Noted(of="b", n=3))
    # It is told in whole seconds, and a look takes its time.
    OutboxRecord.objects.filter(dead_at=None).update(created_at=timezone.now() - timedelta(seconds=89.6))
    TopicPartitions.objects.create(topic="z.quiet", partitions=3)
    TopicPartitions.objects.create(
        topic="z.stopped", partitions=3, paused_at=datetime.fromisoformat("2026-11-24T10:00:00Z")
    )

    assert outbox("status") == [
        f"{own_topics.user_events}: 2 pending, the oldest for 90 s; 1 dead",
        "z.quiet: 0 pending; 0 dead",
        "z.stopped: 0 pending; 0 dead; PAUSED since 2026-11-24 10:00:00 UTC by `kafka topics grow`",
    ]
