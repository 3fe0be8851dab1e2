"""The reader alone: what it gives, once, in which order, whoever commits when; and that it looks at little."""

import random
import threading
from collections import Counter, defaultdict
from typing import Any

import psycopg
import pytest
from django.db import connection

from events.outbox import store
from events.outbox.reader import Reader
from events.outbox.store import Mark, Pending
from tests.integration.reading import ALL, NO_LIMIT, Reading, make, other_session, reading, write
from tests.integration.relaying import Noted, commit, database_url

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


def test_a_held_key_is_given_in_order_once_it_is_due_and_stops_nobody() -> None:
    make(3, key="bad")
    make(2, key="well")
    with reading() as one:
        bad = [record for record in one.read() if record.key == "bad"]
        one.reader.hold_back(bad[0], wait_s=0)
        one.reader.forget(record.id for record in bad)
        make(1, key="bad")
        make(1, key="well")
        assert one.read_keys() == ["well"]
        held = one.reader.read_held(limit=10, bytes_most=NO_LIMIT)
        assert [record.id for record in held] == [bad[0].id]
        assert one.reader.read_held(limit=10, bytes_most=NO_LIMIT) == []  # as long as its head is not settled
        one.mark(held)
        one.read()
        rest = one.reader.read_held(limit=10, bytes_most=NO_LIMIT)
        assert [record.key for record in rest] == ["bad"] * 3
        assert rest[:2] == [again for again in rest if again.id in {record.id for record in bad}]
        assert one.reader.read_held(limit=10, bytes_most=NO_LIMIT) == []
        make(1, key="bad")
        assert one.read_keys() == ["bad"]


def test_thousands_behind_a_held_key_are_passed_once_and_keep_no_memory() -> None:
    with reading() as one:
        make(1, key="bad")
        (head,) = one.read()
        one.reader.hold_back(head, wait_s=60)
        one.reader.forget([head.id])
        make(20_000, key="bad")
        make(5, key="well")
        found: list[str] = []
        reads = 0
        while len(found) < 5:
            found += one.read_keys()
            reads += 1
        assert reads <= 22
        assert len(one.reader._known) == 5
        make(1, key="well")
        assert buffers_of_next_read(one) < 200  # to the floor, 5,000 ids back; all of them take 400


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


def plan_of_next_read(one: Reading) -> dict[str, Any]:
    """As the relay's own session plans and runs it."""
    ((plan,),) = one.session.run(
        "explain (analyze, buffers, format json) " + store.READ, one.reader._wanted(1_000, NO_LIMIT)
    )
    top: dict[str, Any] = plan[0]["Plan"]
    return top


def buffers_of_next_read(one: Reading) -> int:
    plan = plan_of_next_read(one)
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def scans(plan: dict[str, Any]) -> set[tuple[str, str]]:
    """How each table is reached, by node and index."""
    own = {(plan["Node Type"], plan.get("Index Name", ""))} if plan.get("Relation Name") == "events_outbox" else set()
    return own.union(*(scans(child) for child in plan.get("Plans", [])))


def analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze events_outbox")


PENDING_INDEX = {("Index Scan", "events_outbox_pending")}


def test_the_plan_is_the_same_whatever_the_statistics_say() -> None:
    with reading() as one:
        assert scans(plan_of_next_read(one)) == PENDING_INDEX  # empty, never analysed
        make(30_000, published=True)
        assert scans(plan_of_next_read(one)) == PENDING_INDEX  # all published, not analysed
        analyze()
        assert scans(plan_of_next_read(one)) == PENDING_INDEX  # and analysed
        make(10_000)
        assert scans(plan_of_next_read(one)) == PENDING_INDEX  # many pending, of which it knows nothing
        analyze()
        assert scans(plan_of_next_read(one)) == PENDING_INDEX
        assert len(one.read()) == 1_000
        assert scans(plan_of_next_read(one)) == PENDING_INDEX


def test_an_open_snapshot_and_an_idle_writer_cost_a_read_nothing() -> None:
    make(1)
    with (
        reading() as one,
        other_session(autocommit=True) as snapshot,
        other_session() as writer,
    ):
        snapshot.execute("begin isolation level repeatable read")
        snapshot.execute("select count(*) from events_outbox")
        write(writer, "idle")
        make(20_000)
        relayed = 0
        while records := one.read():
            one.mark(records)
            relayed += len(records)
        assert relayed == 20_001
        one.read()
        assert buffers_of_next_read(one) < 60
        # What a read from the start costs now: every marked record is still in the index.
        fresh = Reading()
        fresh.reader._mine = ALL
        assert buffers_of_next_read(fresh) > 200
        fresh.session.close()
        writer.commit()
        assert one.read_keys() == ["idle"]


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
