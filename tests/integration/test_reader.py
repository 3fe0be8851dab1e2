"""The reader alone: what it gives, once, in which order, whoever commits when; and that it looks at little."""

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Self

import psycopg
import pytest
from django.db import connection, transaction

from events.conf import EventsSettings
from events.outbox import store
from events.outbox.publish import publish
from events.outbox.reader import Reader
from events.outbox.store import Mark, Pending
from tests.integration.reading import ALL, NO_LIMIT, Reading, buffers_of_next_read, make, other_session, reading, write
from tests.integration.relaying import Noted, commit, database_url
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_late_commit_is_read_and_its_key_stays_in_order() -> None:
    with reading() as one, other_session() as first, other_session() as second:
        early = write(first, "A")
        between = write(second, "B")
        second.commit()
        assert [(record.key, record.id) for record in one.read()] == [("B", between)]
        first.commit()
        later = write(first, "A")
        first.commit()
        assert [record.id for record in one.read() if record.key == "A"] == [early, later]
        assert one.read() == []


def go_on(one: Reading, *, rounds: int = 5) -> None:
    """Others publish, and all that is there is read and marked: the floor moves up to it."""
    for _ in range(rounds):
        make(3, key="others")
        records = one.read()
        assert [record.key for record in records] == ["others"] * 3
        one.mark(records)


@pytest.mark.parametrize("rounds", [0, 1, 5])
def test_a_transaction_that_pauses_after_its_number_and_after_its_id_is_read_once_it_commits(rounds: int) -> None:
    with reading() as one, other_session() as slow:
        slow.execute("select pg_current_xact_id()")
        go_on(one, rounds=rounds)
        record = write(slow, "slow")
        go_on(one)
        slow.commit()
        assert [late.id for late in one.read()] == [record]
        assert one.read() == []


class Stopped:
    """A transaction that publishes in a thread of its own from `start` on, and commits when it may."""

    def __init__(self) -> None:
        self.has_published, self.may_commit = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="stopped publisher")
        self.start = self._thread.start

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.commit()

    def commit(self) -> None:
        self.may_commit.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        with closing(connection), transaction.atomic():
            publish(Noted(of="user", n=1))
            self.has_published.set()
            self.may_commit.wait(30)


@contextmanager
def key_locked(key: str) -> Iterator[psycopg.Connection[Any]]:
    """As by publish() of a fact that is Noted, until the session's transaction ends."""
    topic = EventsSettings.current().topics[Noted.topic]
    with other_session() as holder:
        holder.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{topic}/{key}"])
        yield holder


_NUMBERS_OF_THE_WAITING = """
select number.pid is not null from pg_locks as waiting
left join pg_locks as number on number.pid = waiting.pid and number.locktype = 'transactionid'
where waiting.locktype = 'advisory' and not waiting.granted
"""


def waiting_have_numbers() -> list[bool]:
    """Of each transaction that waits for a key, whether it has its number."""
    with connection.cursor() as cursor:
        cursor.execute(_NUMBERS_OF_THE_WAITING)
        return [has_one for (has_one,) in cursor.fetchall()]


def test_publish_draws_no_id_before_it_has_its_number_and_the_key() -> None:
    """Stopped in between, it is read, however far the floor moves meanwhile."""
    with reading() as one, Stopped() as stopped, key_locked("user") as holder:
        stopped.start()
        wait_for(waiting_have_numbers)
        assert waiting_have_numbers() == [True]
        go_on(one)
        holder.commit()
        assert stopped.has_published.wait(30)
        highest = one.reader.high
        go_on(one)
        stopped.commit()
        (late,) = one.read()
        assert late.key == "user"
        assert late.id == highest + 1
        assert one.read() == []


def test_what_is_rolled_back_is_never_read_and_nothing_waits_for_it() -> None:
    with reading() as one, other_session() as undone, other_session() as done:
        write(undone, "A")
        write(done, "B")
        done.commit()
        assert one.read_keys() == ["B"]
        undone.rollback()
        assert one.read_keys() == []


def test_a_bulk_commit_of_more_than_one_read_comes_whole_and_once() -> None:
    with reading() as one, other_session() as bulk:
        for _ in range(25):
            write(bulk, "bulk")
        make(10, key="other")
        assert one.read_keys(limit=10) == ["other"] * 10
        bulk.commit()
        found: list[Pending] = []
        while records := one.read(limit=10):
            found += records
        assert [record.key for record in found] == ["bulk"] * 25
        assert [record.id for record in found] == sorted(record.id for record in found)


def test_a_read_is_bounded_in_bytes_and_gives_one_record_at_least() -> None:
    commit(*(Noted(of="user", n=n, text="x" * 10_000) for n in range(5)))
    with reading() as one:
        lengths = []
        while records := one.reader.read(ALL, limit=100, bytes_most=25_000):
            lengths.append(len(records))
        assert lengths == [3, 2]
    with reading() as one:
        assert len(one.reader.read(ALL, limit=100, bytes_most=1)) == 1


def test_of_shards_gained_everything_is_read_though_higher_ids_were() -> None:
    commit(*(Noted(of=f"user-{n}", n=0) for n in range(40)))
    with reading() as one:
        half = frozenset(range(32))
        first = one.read(shards=half)
        second = one.read(shards=ALL)
        assert {record.shard for record in first} <= half
        assert {record.shard for record in second}.isdisjoint(half)
        assert len(first) + len(second) == 40
        one.reader.leave(half)
        one.reader.forget(record.id for record in first)
        assert sorted(record.id for record in one.read()) == sorted(record.id for record in first)


def test_what_was_marked_is_not_given_again_by_a_read_that_starts_over() -> None:
    make(10)
    with reading() as one:
        records = one.read(shards=frozenset({0}))
        one.mark(records[:5])
        assert one.read(shards=ALL) == []


class Writers:
    """Transactions held open for a moment over few keys, some undone, each key's numbers in commit order."""

    def __init__(self, keys: int) -> None:
        self._locks = [threading.Lock() for _ in range(keys)]
        self.committed: dict[str, list[int]] = defaultdict(list)

    def write(self, seed: int, rounds: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - to repeat a run
        with psycopg.connect(database_url()) as session:
            for _ in range(rounds):
                self._one(session, chance)

    def _one(self, session: psycopg.Connection[Any], chance: random.Random) -> None:
        key = chance.randrange(len(self._locks))
        with self._locks[key]:  # stands for the key's lock of publish()
            record = write(session, str(key))
            threading.Event().wait(chance.uniform(0, 0.02))
            if chance.random() < 0.2:
                session.rollback()
                return
            session.commit()
            self.committed[str(key)].append(record)


def test_under_many_writers_each_record_is_given_once_and_each_key_in_order() -> None:
    writers = Writers(keys=20)
    threads = [threading.Thread(target=writers.write, args=(seed, 60)) for seed in range(10)]
    given: list[Pending] = []
    with reading() as one:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            records = one.read(limit=7)
            given += records
            one.mark(records)
        while records := one.read(limit=7):
            given += records
    by_key: dict[str, list[int]] = defaultdict(list)
    for record in given:
        by_key[record.key].append(record.id)
    assert by_key == writers.committed
    assert max(Counter(record.id for record in given).values()) == 1


def test_a_record_is_read_though_another_database_s_number_lies_in_the_future() -> None:
    make(3)
    with connection.cursor() as cursor:
        cursor.execute("update events_outbox set xid = '999999999999'")
    with reading() as one:
        store.forget_foreign_numbers(one.session)
        assert len(one.read()) == 3
        assert one.read() == []
        assert buffers_of_next_read(one) < 60
    with connection.cursor() as cursor:
        cursor.execute("select distinct xid::text from events_outbox")
        assert cursor.fetchall() == [("3",)]


def test_records_that_were_acknowledged_by_an_earlier_life_are_not_given() -> None:
    make(3)
    with reading() as one:
        first, *rest = one.read()
        again = Reader(one.session, keep=[first.id])
        assert again.read(ALL, limit=10, bytes_most=NO_LIMIT) == rest


def test_the_first_mark_wins() -> None:
    make(1)
    with reading() as one:
        (record,) = one.read()
        store.mark(one.session, [Mark(record.id, 0, 1, 11)])
        store.mark(one.session, [Mark(record.id, 0, 2, 22)])
    with connection.cursor() as cursor:
        cursor.execute('select partition, "offset" from events_outbox')
        assert cursor.fetchall() == [(1, 11)]
