"""How little the relay's statements look at: plans and buffers, whatever statistics and open transactions there are."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from django.db import connection
from psycopg import sql

from events.outbox import operator_store, store
from events.outbox.session import Session
from tests.integration.reading import (
    ALL,
    NO_LIMIT,
    Reading,
    buffers,
    buffers_of_next_read,
    make,
    other_session,
    reading,
    write,
)
from tests.tables import forget_statistics

pytestmark = pytest.mark.django_db(transaction=True)


def scans(plan: dict[str, Any]) -> set[tuple[str, str]]:
    """How each table is reached, by node and index."""
    own = {(plan["Node Type"], plan.get("Index Name", ""))} if plan.get("Relation Name") == "events_outbox" else set()
    return own.union(*(scans(child) for child in plan.get("Plans", [])))


def analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze events_outbox")


PENDING_INDEX = {("Index Scan", "events_outbox_pending")}
KEY_INDEX = {("Index Scan", "events_outbox_key")}


@pytest.fixture
def no_statistics() -> Iterator[None]:
    """None from the tests before, and autovacuum gathers none."""
    with connection.cursor() as cursor:
        cursor.execute("alter table events_outbox set (autovacuum_enabled = off)")
        forget_statistics(cursor, "events_outbox")
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


def test_a_mark_has_two_indexes_to_write_and_no_more() -> None:
    """Each takes a third of the time of a mark, and every record is marked; one that it leaves costs nothing."""
    with connection.cursor() as cursor:
        cursor.execute("select indexname from pg_indexes where tablename = 'events_outbox' and indexdef !~ ' WHERE '")
        assert {name for (name,) in cursor.fetchall()} == {"events_outbox_pkey", "events_outbox_key"}


def test_status_passes_over_what_is_published() -> None:
    make(20_000, published=True)
    analyze()
    with connection.cursor() as cursor:
        cursor.execute("explain " + operator_store._STATUS)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "events_outbox_pending" in plan
    assert "events_outbox_dead" in plan
