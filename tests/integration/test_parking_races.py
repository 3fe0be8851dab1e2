"""Two members, or a member and somebody else, at the same parked deliveries and keys: order holds, nobody is stuck."""

import time

import pytest
from django.db import connection, transaction

from events.inbox import batch, dead_letters, retries
from events.inbox.group import Group
from events.models import ParkedDelivery
from events.routing import AfterDeath, Delivery, RetryPolicy, on
from tests.integration.batching import (
    LIMIT_S,
    Gate,
    Handler,
    Refusing,
    beside,
    group_of,
    make_due,
    record,
    records_of,
    retry,
    wait_for_a_blocked_session,
    waiting,
)
from tests.integration.counting import Counted, leave_row, raw, rows

pytestmark = pytest.mark.usefixtures("effects")


def group(handler: Handler = leave_row, *, attempts: int = 10, after_death: AfterDeath = "wait") -> Group:
    # Due again when a test says so, by `make_due`, and not before.
    policy = RetryPolicy(attempts=attempts, after_death=after_death, first_s=1_000, most_s=1_000)
    return group_of(on(Counted, handler, name="tested", retry=policy))


def stopping_at(n: int, gate: Gate) -> Handler:
    def handler(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        if event.n == n:
            gate.stop_here()

    return handler


def retry_one(of: Group) -> None:
    retries._retry_next(of, 1, time.monotonic() + LIMIT_S)


def retry_all(handler: Handler) -> None:
    assert retries.retry_due(group(handler), within_s=LIMIT_S) is None


def stranded() -> int:
    """How many wait, with no time of their own, behind nothing at all."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from events_parked as one where dead_at is null and next_attempt_at is null and not exists"
            ' (select from events_parked as before where before."group" = one."group" and before.key = one.key'
            " and before.handler = one.handler and before.id < one.id)"
        )
        return int(cursor.fetchone()[0])


# A batch beside a retry ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("parked", [1, 2, 3])
def test_a_batch_that_meets_a_retry_of_its_key_waits_and_then_comes_after_it(parked: int) -> None:
    """The retried one is gone by then; those that waited behind it are not, and come first."""
    batch.handle(records_of(["ann"] * parked), group(Refusing(0)))
    make_due()
    gate = Gate()
    with beside(lambda: retry_one(group(stopping_at(0, gate)))):
        gate.wait_until_reached()
        with beside(lambda: batch.handle([record(raw(parked), parked)], group())):
            wait_for_a_blocked_session()
            gate.open()
    assert stranded() == 0
    retry(group())
    assert rows() == [("ann", n) for n in range(parked + 1)]
    assert waiting() == []


def test_a_retry_leaves_alone_what_a_batch_has_in_hand() -> None:
    batch.handle(records_of(["ann", "bob"]), group(Refusing(0, 1)))
    make_due()
    gate = Gate()
    polled = [record(raw(2, "ann"), 2), record(raw(3, "cid"), 3)]
    with beside(lambda: batch.handle(polled, group(stopping_at(3, gate)))):
        gate.wait_until_reached()
        retry_all(leave_row)
        assert rows() == [("bob", 1)]
        gate.open()
    retry_all(leave_row)
    assert rows("ann") == [("ann", 0), ("ann", 2)]
    assert waiting() == []


def test_a_batch_of_another_key_does_not_wait_for_a_retry() -> None:
    batch.handle(records_of(["ann"]), group(Refusing(0)))
    make_due()
    gate = Gate()
    with beside(lambda: retry_all(stopping_at(0, gate))):
        gate.wait_until_reached()
        batch.handle([record(raw(1, "bob"), 1)], group())
        assert rows() == [("bob", 1)]
        gate.open()


def test_a_batch_that_overlaps_one_whose_delivery_fails_parks_behind_it() -> None:
    """Two members have the same records, after a rebalance: the second waits for the first one's inbox records."""
    polled = records_of(["ann", "ann"])
    gate = Gate()

    def stop_and_fail(event: Counted, _: Delivery) -> None:
        gate.stop_here()
        raise ValueError(event.n)

    with beside(lambda: batch.handle(polled[:1], group(stop_and_fail), carefully=True)):
        gate.wait_until_reached()
        with beside(lambda: batch.handle(polled, group())):
            wait_for_a_blocked_session()
            gate.open()
    assert rows() == []
    assert waiting() == [("ann", 0, True), ("ann", 1, False)]


# Two retries ---------------------------------------------------------------------------------------------------


def test_two_members_never_have_two_of_one_key_in_hand() -> None:
    batch.handle(records_of(["ann", "ann", "bob", "bob"]), group(Refusing(0, 2)))
    make_due()
    gate = Gate()
    with beside(lambda: retry_one(group(stopping_at(0, gate)))):
        gate.wait_until_reached()
        retry_all(leave_row)
        assert rows() == [("bob", 2), ("bob", 3)]
        gate.open()
    retry_all(leave_row)
    assert rows("ann") == [("ann", 0), ("ann", 1)]


def test_not_even_where_both_have_a_time_since_the_first_is_replayed() -> None:
    batch.handle(records_of(["ann", "ann"]), group(Refusing(0, 1), attempts=2, after_death="continue"))
    retry(group(Refusing(0, 1), attempts=2, after_death="continue"))
    dead_letters.replay([ParkedDelivery.objects.get(offset=0).id])
    assert waiting() == [("ann", 0, True), ("ann", 1, True)]
    make_due()
    gate = Gate()
    with beside(lambda: retry_one(group(stopping_at(0, gate), after_death="continue"))):
        gate.wait_until_reached()
        assert retries.retry_due(group(after_death="continue"), within_s=LIMIT_S) is None
        assert rows() == []
        gate.open()
    retry(group(after_death="continue"))
    assert rows() == [("ann", 0), ("ann", 1)]


# A batch beside an operator ------------------------------------------------------------------------------------


def discard_all() -> None:
    dead_letters.discard(list(ParkedDelivery.objects.values_list("id", flat=True)), routes=group().routes)


@pytest.mark.parametrize("parked", [1, 2])
def test_a_discard_beside_a_batch_that_parks_behind_the_dead_letter_strands_nothing(parked: int) -> None:
    batch.handle(records_of(["ann"] * parked), group(Refusing(0), attempts=1))
    gate = Gate()
    polled = [record(raw(parked), parked), record(raw(9, "bob"), 9)]
    with beside(lambda: batch.handle(polled, group(stopping_at(9, gate)))):
        gate.wait_until_reached()
        with beside(discard_all):
            wait_for_a_blocked_session()
            gate.open()
    assert stranded() == 0
    retry_all(leave_row)
    assert rows("ann") == [("ann", n) for n in range(1, parked + 1)]
    assert waiting() == []


@pytest.mark.parametrize("parked", [1, 2])
def test_a_batch_beside_a_discard_of_its_keys_dead_letter_strands_nothing(parked: int) -> None:
    batch.handle(records_of(["ann"] * parked), group(Refusing(0), attempts=1))
    gate = Gate()

    def discard_and_stop() -> None:
        with transaction.atomic():
            discard_all()
            gate.stop_here()

    with beside(discard_and_stop):
        gate.wait_until_reached()
        with beside(lambda: batch.handle([record(raw(parked), parked)], group())):
            wait_for_a_blocked_session()
            gate.open()
    assert stranded() == 0
    retry_all(leave_row)
    assert rows("ann") == [("ann", n) for n in range(1, parked + 1)]
    assert waiting() == []
