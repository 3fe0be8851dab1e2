"""The reader alone: what it gives, once, in which order, whoever commits when; and that it looks at little."""

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, Self

import psycopg
import pytest
from django.db import connection, transaction
from psycopg import sql

from events.conf import EventsSettings
from events.outbox import store
from events.outbox.publish import publish
from events.outbox.reader import Reader
from events.outbox.session import Parameters, Row, Session
from events.outbox.store import Mark, OrderKey, Pending
from tests.integration.reading import ALL, NO_LIMIT, Reading, make, other_session, reading, write
from tests.integration.relaying import Noted, commit, database_url, wait_for

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


class CountingSession(Session):
    """Counts its statements."""

    statements = 0

    def run(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        self.statements += 1
        return super().run(statement, parameters)


def ids_by_key(records: list[Pending]) -> dict[OrderKey, list[int]]:
    found: dict[OrderKey, list[int]] = defaultdict(list)
    for record in records:
        found[record.order_key].append(record.id)
    return found


def hold_all(one: Reading) -> dict[OrderKey, list[int]]:
    """Read everything and have each key's first record refused; gives what is held. All of it is due at once."""
    records = one.read(limit=5_000)
    for head in {record.order_key: record for record in reversed(records)}.values():
        one.reader.hold_back(head, wait_s=0)
    one.reader.forget(record.id for record in records)
    return ids_by_key(records)


def test_a_thousand_held_keys_that_come_due_together_take_a_handful_of_statements() -> None:
    for n in range(10):
        make(300, topic=f"was-missing-{n}")  # 100 keys
    with reading() as one:
        one.session = session = CountingSession(database_url())
        one.reader = Reader(session)
        held = hold_all(one)
        before = session.statements
        heads = one.reader.read_held(limit=1_000, bytes_most=NO_LIMIT)
        assert [record.id for record in heads] == sorted(ids[0] for ids in held.values())
        refused_again, taken = heads[::10], [head for n, head in enumerate(heads) if n % 10]
        for record in refused_again:
            one.reader.hold_back(record, wait_s=60)
        one.reader.forget(record.id for record in refused_again)
        one.mark(taken)
        one.read()
        rest: list[Pending] = []
        while records := one.reader.read_held(limit=1_000, bytes_most=NO_LIMIT):
            rest += records
        assert session.statements - before <= 7  # a mark and a read among them
        assert ids_by_key(rest) == {head.order_key: held[head.order_key][1:] for head in taken}
        assert len(rest) == 1_800


def test_held_keys_are_read_within_the_bounds_and_none_is_left_out() -> None:
    make(50, key="long")
    make(4)
    with reading() as one:
        held = hold_all(one)
        heads = [one.reader.read_held(limit=3, bytes_most=NO_LIMIT), one.reader.read_held(limit=3, bytes_most=1)]
        heads += [one.reader.read_held(limit=3, bytes_most=NO_LIMIT)]
        assert [len(records) for records in heads] == [3, 1, 1]
        for records in heads:
            one.mark(records)
        one.read()
        rest: list[Pending] = []
        while records := one.reader.read_held(limit=3, bytes_most=300):
            assert len(records) <= 2  # of 203 bytes each
            rest += records
        assert [record.id for record in rest] == held["made", "long"][1:]


def test_what_is_held_of_shards_that_were_left_is_not_given_until_they_are_back() -> None:
    make(2, key="bad")
    with reading() as one:
        held = hold_all(one)
        others = ALL - {0}
        one.reader.leave({0})
        assert one.read(shards=others) == []
        assert one.reader.read_held(limit=10, bytes_most=NO_LIMIT) == []
        assert ids_by_key(one.read(shards=ALL)) == held


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
    return buffers(plan_of_next_read(one))


def buffers(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def scans(plan: dict[str, Any]) -> set[tuple[str, str]]:
    """How each table is reached, by node and index."""
    own = {(plan["Node Type"], plan.get("Index Name", ""))} if plan.get("Relation Name") == "events_outbox" else set()
    return own.union(*(scans(child) for child in plan.get("Plans", [])))


def analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze events_outbox")


PENDING_INDEX = {("Index Scan", "events_outbox_pending")}
KEY_INDEX = {("Index Scan", "events_outbox_key")}


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


@pytest.fixture
def no_statistics() -> Iterator[None]:
    """None from the tests before, and autovacuum gathers none."""
    with connection.cursor() as cursor:
        cursor.execute("alter table events_outbox set (autovacuum_enabled = off)")
        cursor.execute("delete from pg_statistic where starelid = 'events_outbox'::regclass")
        yield
        cursor.execute("alter table events_outbox reset (autovacuum_enabled)")


class Kept:
    """A statement that is prepared once and run for as long as its session lives, by one plan or by one each time."""

    def __init__(self, session: Session, name: str, statement: str, given: Iterable[str]) -> None:
        self._session, self._name = session, name
        numbered = {parameter: f"${number}" for number, parameter in enumerate(given, 1)}
        text = (statement % numbered).replace("%", "%%")  # as the session wants it
        session.run(f"prepare {name} as {text}")

    def plan(self, given: Mapping[str, Any]) -> dict[str, Any]:
        run = sql.SQL("explain (analyze, buffers, format json) execute {}({})").format(
            sql.Identifier(self._name), sql.SQL(", ").join(map(sql.Literal, given.values()))
        )
        ((plan,),) = self._session.run(run.as_string())
        top: dict[str, Any] = plan[0]["Plan"]
        return top


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def below_limits(plan: dict[str, Any]) -> set[str]:
    """What happens to more rows than a read brings."""
    limits = [node for node in nodes(plan) if node["Node Type"] == "Limit"]
    return {node["Node Type"] for limit in limits for node in nodes(limit)}


def fill(one: Reading) -> None:
    make(20_000)


def fill_published(one: Reading) -> None:
    make(20_000, published=True)


def gather(one: Reading) -> None:
    analyze()


def drain(one: Reading) -> None:
    while records := one.read():
        one.mark(records)


STATES: dict[str, Sequence[Callable[[Reading], None]]] = {
    "never analysed": [fill_published],
    "analysed empty, then filled": [gather, fill],
    "analysed full, then drained": [fill, gather, drain],
    "analysed, all published": [fill_published, gather],
    "analysed, all pending": [fill, gather],
}


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("steps", STATES.values(), ids=STATES)
def test_a_plan_that_was_made_over_an_empty_table_stays_good(
    no_statistics: None, steps: Sequence[Callable[[Reading], None]], mode: str
) -> None:
    with reading() as one:
        one.read()
        one.session.run(f"set plan_cache_mode = {mode}")
        behind = {"topics": ["made"] * 9, "keys": [f"k{n}" for n in range(9)], "after": [0] * 9, "limit_each": 9}
        read = Kept(one.session, "reading", store.READ, one.reader._wanted(1_000, NO_LIMIT))
        find = Kept(one.session, "finding", store._IDS_OF_KEYS, behind)
        read.plan(one.reader._wanted(1_000, NO_LIMIT))
        find.plan(behind)
        for step in steps:
            step(one)
            plan = read.plan(one.reader._wanted(1_000, NO_LIMIT))
            assert scans(plan) == PENDING_INDEX
            assert "Sort" not in below_limits(plan)
            assert buffers(plan) < 100
            assert scans(find.plan(behind)) == KEY_INDEX


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
