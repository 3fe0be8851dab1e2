"""Several transactions publish at once: ids within a key follow commit order, and nobody deadlocks."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from events.models import OutboxRecord
from events.outbox.publish import publish, publish_all
from tests.integration.relaying import Elsewhere, Noted
from tests.waiting import LIMIT_S, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def in_threads(work: Callable[[int], None], *, count: int) -> None:
    """Run `work(0)` … at once; an error of any is raised here."""

    def run(number: int) -> None:
        try:
            work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as threads:
        for future in [threads.submit(run, number) for number in range(count)]:
            future.result()


def waiting_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select exists (select from pg_locks where locktype = 'advisory' and not granted)")
        return bool(cursor.fetchone()[0])


def test_the_second_transaction_on_a_key_waits_and_gets_the_higher_id() -> None:
    has_written, may_commit = threading.Event(), threading.Event()

    def work(number: int) -> None:
        if number == 0:
            with transaction.atomic():
                publish(Noted(of="user", n=1))
                has_written.set()
                assert may_commit.wait(LIMIT_S)
        elif number == 1:
            assert has_written.wait(LIMIT_S)
            with transaction.atomic():
                publish(Noted(of="user", n=2))
        else:
            wait_for(waiting_for_a_lock)
            assert OutboxRecord.objects.count() == 0
            may_commit.set()

    in_threads(work, count=3)
    kept = [Noted.from_json(bytes(record.value)).n for record in OutboxRecord.objects.order_by("id")]
    assert kept == [1, 2]


def test_the_same_key_of_another_topic_does_not_wait() -> None:
    with transaction.atomic():
        publish(Noted(of="user", n=1))
        in_threads(lambda _: publish_alone(Elsewhere(of="user", n=1)), count=1)
        assert OutboxRecord.objects.count() == 2


def publish_alone(event: Noted) -> None:
    with transaction.atomic():
        publish(event)


def publish_and_undo(event: Noted) -> None:
    """In a savepoint of the caller's transaction, which gives back what it locked and not what was locked before."""
    with transaction.atomic():
        publish(event)
        transaction.set_rollback(True)


def own_id() -> int:
    """Of the one record that this transaction has written and not undone."""
    with connection.cursor() as cursor:
        cursor.execute("select id from events_outbox where xid = pg_current_xact_id()")
        ((own,),) = cursor.fetchall()
    return int(own)


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
@pytest.mark.parametrize("undone", [0, 1], ids=["plain", "with savepoints rolled back"])
def test_ids_within_a_key_follow_commit_order_under_many_writers(isolation: str, undone: int) -> None:
    """Each notes its record's id while its transaction still holds the key: in the order of the commits."""
    in_commit_order: list[int] = []

    def work(_: int) -> None:
        for n in range(20):
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(f"set transaction isolation level {isolation}")
                for _ in range(undone):
                    publish_and_undo(Noted(of="user", n=n))
                publish(Noted(of="user", n=n))
                for _ in range(undone):
                    publish_and_undo(Noted(of="user", n=n))
                in_commit_order.append(own_id())

    in_threads(work, count=6)
    assert len(in_commit_order) == 120
    assert in_commit_order == sorted(in_commit_order)


@pytest.fixture
def rows() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("create table race (id text primary key, n int not null)")
        cursor.execute("insert into race values ('a', 0), ('b', 0), ('c', 0)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("drop table race")


@pytest.mark.usefixtures("rows")
def test_rows_locked_in_order_and_then_one_publish_never_deadlock() -> None:
    def work(number: int) -> None:
        choice = random.Random(number)  # noqa: S311 - which rows, not a secret
        for n in range(40):
            change(choice.sample(["a", "b", "c"], 2), n)

    in_threads(work, count=4)
    assert OutboxRecord.objects.count() == 320


def change(keys: list[str], n: int) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("select 1 from race where id = any(%s) order by id for no key update", [keys])
            cursor.execute("update race set n = n + 1 where id = any(%s)", [keys])
        publish_all(Noted(of=key, n=n) for key in keys)


def test_every_id_is_drawn_by_a_transaction_that_has_its_number_already() -> None:
    """The relay's floor rests on it: column defaults run in the order of the columns."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select attname from pg_attribute"
            " where attrelid = 'events_outbox'::regclass and attnum in (1, 2) order by attnum"
        )
        assert [name for (name,) in cursor.fetchall()] == ["xid", "id"]
        cursor.execute("select cache_size from pg_sequences where sequencename = 'events_outbox_id_seq'")
        assert cursor.fetchone() == (1,)
