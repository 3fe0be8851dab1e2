"""Handlers that take their events as a list: one call a batch, and where it fails, only who is to blame stays."""

from collections.abc import Iterator

import pytest
from django.db import connection

from events.inbox import batch
from events.routing import Delivery, on, on_batch
from tests.integration.batching import (
    Events,
    Refusing,
    RefusingBatches,
    effects_of,
    group_of,
    leave_rows,
    records_of,
    retry,
    waiting,
)
from tests.integration.counting import Counted, leave_row, rows

pytestmark = pytest.mark.usefixtures("effects")

APART = [f"k{n}" for n in range(64)]


def test_a_batch_handler_is_called_once_with_all_events_in_order() -> None:
    handler = RefusingBatches()
    batch.handle(records_of(APART), group_of(on_batch(Counted, handler, name="batched")))
    assert handler.calls == [list(range(64))]


def test_it_is_told_id_and_name_of_each_delivery() -> None:
    seen: list[Delivery] = []

    def handler(events: Events) -> None:
        seen.extend(delivery for _, delivery in events)

    polled = records_of(["ann", "bob"])
    batch.handle(polled, group_of(on_batch(Counted, handler, name="batched")))
    ids = [dict(record.headers)["ce_id"].decode() for record in polled]
    assert [(str(delivery.event_id), delivery.handler) for delivery in seen] == [(one, "batched") for one in ids]


def test_it_is_called_after_the_handlers_of_single_events() -> None:
    single, batched = on(Counted, leave_row, name="single"), on_batch(Counted, leave_rows, name="batched")
    batch.handle(records_of(["ann", "bob"]), group_of(batched, single))
    with connection.cursor() as cursor:
        cursor.execute("select handler from effects order by id")
        assert [handler for (handler,) in cursor.fetchall()] == ["single", "single", "batched", "batched"]


@pytest.mark.parametrize("carefully", [False, True])
@pytest.mark.parametrize("guilty", [(0,), (37,), (63,), (10, 50), (31, 32)])
def test_a_failing_one_is_halved_until_only_the_guilty_are_parked(guilty: tuple[int, ...], *, carefully: bool) -> None:
    handler = RefusingBatches(*guilty)
    batch.handle(records_of(APART), group_of(on_batch(Counted, handler, name="batched")), carefully=carefully)
    assert waiting() == [(f"k{n}", n, True) for n in guilty]
    assert rows() == [(name, n) for n, name in enumerate(APART) if n not in guilty]
    # At once, the whole again under a savepoint, then two calls for each of six halvings, for each of the guilty.
    assert len(handler.calls) <= 2 + 2 * 6 * len(guilty)


def test_the_keys_behind_a_guilty_one_wait_in_order_and_the_others_do_not() -> None:
    names = ["ann", "bob", "ann", "cid", "bob", "ann", "dot", "cid"]
    handler = RefusingBatches(0, 4)
    group = group_of(on_batch(Counted, handler, name="batched"))
    batch.handle(records_of(names), group)
    assert rows() == [("bob", 1), ("cid", 3), ("dot", 6), ("cid", 7)]
    assert waiting() == [("ann", 0, True), ("ann", 2, False), ("bob", 4, True), ("ann", 5, False)]
    handler.guilty.clear()
    retry(group)
    assert rows("ann") == [("ann", 0), ("ann", 2), ("ann", 5)]
    assert rows("bob") == [("bob", 1), ("bob", 4)]
    assert waiting() == []


def test_what_waits_already_is_left_out_of_the_call() -> None:
    handler = RefusingBatches(0)
    group = group_of(on_batch(Counted, handler, name="batched"))
    batch.handle(records_of(["ann"]), group)
    handler.calls.clear()
    batch.handle(records_of(["ann", "bob", "ann", "cid"]), group)
    assert handler.calls == [[1, 3]]


def test_a_failing_batch_handler_and_a_failing_single_one_hold_back_nobody_else() -> None:
    single, batched, other = Refusing(5), RefusingBatches(9), RefusingBatches()
    group = group_of(
        on(Counted, single, name="single"),
        on_batch(Counted, batched, name="batched"),
        on_batch(Counted, other, name="other"),
    )
    batch.handle(records_of(APART), group)
    everything = list(zip(APART, range(64), strict=True))
    assert effects_of("single") == [one for one in everything if one[1] != 5]
    assert effects_of("batched") == [one for one in everything if one[1] != 9]
    assert effects_of("other") == everything
    assert waiting() == [("k5", 5, True), ("k9", 9, True)]


@pytest.fixture
def late_check(effects: None) -> Iterator[None]:
    """An effect's number must not be 13; PostgreSQL looks at the commit."""
    with connection.cursor() as cursor:
        cursor.execute(
            "create function refuse_13() returns trigger language plpgsql as"
            " $$ begin if new.n = 13 then raise 'thirteen' using errcode = '23514'; end if; return null; end $$;"
            "create constraint trigger late after insert on effects deferrable initially deferred"
            " for each row execute function refuse_13()"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("drop function refuse_13 cascade")


@pytest.mark.usefixtures("late_check")
@pytest.mark.parametrize("carefully", [False, True])
def test_a_fault_that_would_show_at_the_commit_is_found_by_halving_too(*, carefully: bool) -> None:
    batch.handle(records_of(APART[:16]), group_of(on_batch(Counted, leave_rows, name="batched")), carefully=carefully)
    assert waiting() == [("k13", 13, True)]
    assert [n for _, n in rows()] == [n for n in range(16) if n != 13]
