"""Deliveries that were set aside, tried again by their route's policy; what waited behind one follows in order."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from events.errors import Permanent, Transient
from events.inbox import batch, dead_letters, retries
from events.inbox.delivery import Away
from events.inbox.group import Group
from events.models import OutboxRecord, ParkedDelivery
from events.routing import AfterDeath, Delivery, RetryPolicy, Route, on, on_batch
from tests.integration.batching import (
    LIMIT_S,
    Handler,
    Refusing,
    RefusingBatches,
    effects_of,
    group_of,
    make_due,
    oversleep,
    records_of,
    retry,
    waiting,
)
from tests.integration.counting import Counted, leave_row, rows
from tests.integration.mailing import registered_user

pytestmark = pytest.mark.usefixtures("effects")

LONG = RetryPolicy(attempts=10, first_s=1_000, most_s=3_000)


def route_to(handler: Handler, policy: RetryPolicy = LONG) -> Route:
    return on(Counted, handler, name="tested", retry=policy)


def only() -> ParkedDelivery:
    return ParkedDelivery.objects.get()


def wait_s(parked: ParkedDelivery) -> float:
    """From now until its next attempt."""
    assert parked.next_attempt_at is not None
    return (parked.next_attempt_at - timezone.now()).total_seconds()


# How often and when --------------------------------------------------------------------------------------------


def test_attempts_are_counted_from_one_and_the_waits_grow_within_their_bounds() -> None:
    group = group_of(route_to(Refusing(*range(6))))
    batch.handle(records_of(f"k{n}" for n in range(6)), group)
    shares: list[float] = []
    for attempt, step_s in ((1, 1_000), (2, 2_000), (3, 3_000), (4, 3_000)):
        parked = list(ParkedDelivery.objects.all())
        assert {one.attempts for one in parked} == {attempt}
        shares += [wait_s(one) / step_s for one in parked]
        retry(group)
    assert min(shares) > 0.5 - LIMIT_S / 1_000
    assert max(shares) <= 1
    assert max(shares) - min(shares) > 0.1, "all at the same time"


def test_each_route_has_its_own_policy() -> None:
    quick, slow = RetryPolicy(attempts=2, first_s=100), RetryPolicy(attempts=3, first_s=10_000, most_s=10_000)
    group = group_of(
        on(Counted, Refusing(0), name="quick", retry=quick), on(Counted, Refusing(0), name="slow", retry=slow)
    )
    batch.handle(records_of(["ann"]), group)
    waits = {one.handler: wait_s(one) for one in ParkedDelivery.objects.all()}
    assert 0 < waits["quick"] <= 100
    assert 4_900 < waits["slow"] <= 10_000
    retry(group)
    assert dict(ParkedDelivery.objects.filter(dead_at=None).values_list("handler", "attempts")) == {"slow": 2}
    retry(group)
    assert not ParkedDelivery.objects.filter(dead_at=None).exists()


def test_after_the_last_attempt_it_is_a_dead_letter_and_copied() -> None:
    handler = Refusing(0)
    group = group_of(route_to(handler, RetryPolicy(attempts=3)))
    batch.handle(records_of(["ann"]), group)
    retry(group, times=5)
    assert handler.calls == [0, 0, 0]
    assert (only().attempts, only().next_attempt_at) == (3, None)
    assert only().dead_at is not None
    assert list(OutboxRecord.objects.values_list("topic", "key")) == [("user.events.dlq", "ann")]


@pytest.mark.parametrize("first", [Permanent("never"), ValueError("no")], ids=["at first", "at a retry"])
def test_what_can_never_succeed_is_dead_at_once(first: Exception) -> None:
    handler = Refusing(0, error=first)
    group = group_of(route_to(handler))
    batch.handle(records_of(["ann"]), group)
    handler.error = Permanent("never")
    retry(group, times=2)
    assert only().reason == "permanent: Permanent"
    assert only().dead_at is not None
    assert OutboxRecord.objects.get().topic == "user.events.dlq"


def test_nothing_is_tried_before_its_time() -> None:
    handler = Refusing(0)
    group = group_of(route_to(handler))
    batch.handle(records_of(["ann"]), group)
    assert retries.retry_due(group, within_s=LIMIT_S) is None
    assert handler.calls == [0]


# What follows --------------------------------------------------------------------------------------------------


def test_what_waited_follows_in_order_in_the_same_round() -> None:
    handler = Refusing(0)
    group = group_of(route_to(handler))
    batch.handle(records_of(["ann"] * 4), group)
    assert rows() == []
    handler.guilty.clear()
    retry(group)
    assert rows() == [("ann", n) for n in range(4)]
    assert waiting() == []


def test_one_that_waited_and_fails_is_the_next_to_wait_for() -> None:
    handler = Refusing(0, 2)
    group = group_of(route_to(handler))
    batch.handle(records_of(["ann"] * 4), group)
    handler.guilty.remove(0)
    retry(group)
    assert rows() == [("ann", 0), ("ann", 1)]
    assert waiting() == [("ann", 2, True), ("ann", 3, False)]
    assert ParkedDelivery.objects.get(offset=2).attempts == 1


@pytest.mark.parametrize(("after_death", "followed"), [("wait", []), ("continue", [1, 2])])
def test_behind_a_retry_that_dies_the_others_wait_or_go_on_as_the_route_says(
    after_death: AfterDeath, followed: list[int]
) -> None:
    group = group_of(route_to(Refusing(0), RetryPolicy(attempts=2, after_death=after_death)))
    batch.handle(records_of(["ann"] * 3), group)
    retry(group, times=3)
    assert [n for _, n in rows()] == followed
    assert ParkedDelivery.objects.filter(dead_at=None).count() == 2 - len(followed)
    dead_letters.discard(list(ParkedDelivery.objects.values_list("id", flat=True)), routes=group.routes)
    retry(group)
    assert [n for _, n in rows()] == [1, 2]


def test_other_keys_and_other_handlers_go_on_meanwhile() -> None:
    bad = Refusing(0, 1)
    group = group_of(on(Counted, bad, name="bad"), on(Counted, leave_row, name="good"))
    batch.handle(records_of(["ann", "bob", "ann", "cid"]), group)
    assert effects_of("good") == [("ann", 0), ("bob", 1), ("ann", 2), ("cid", 3)]
    assert effects_of("bad") == [("cid", 3)]
    bad.guilty.remove(1)
    retry(group)
    assert effects_of("bad") == [("cid", 3), ("bob", 1)]
    assert waiting() == [("ann", 0, True), ("ann", 2, False)]


def test_a_batch_handlers_delivery_is_tried_again_alone() -> None:
    handler = RefusingBatches(1)
    group = group_of(on_batch(Counted, handler, name="batched"))
    batch.handle(records_of(["ann", "bob", "cid"]), group)
    handler.guilty.clear()
    handler.calls.clear()
    retry(group)
    assert handler.calls == [[1]]
    assert rows() == [("ann", 0), ("cid", 2), ("bob", 1)]


def test_a_handler_that_this_version_does_not_have_keeps_what_is_set_aside_for_it() -> None:
    batch.handle(records_of(["ann"]), group_of(route_to(Refusing(0))))
    retry(group_of(on(Counted, leave_row, name="renamed")))
    assert only().attempts == 1
    retry(group_of(route_to(leave_row)))
    assert rows() == [("ann", 0)]


# Outages and faults --------------------------------------------------------------------------------------------


def away_in(group: Group) -> Away:
    make_due()
    away = retries.retry_due(group, within_s=LIMIT_S)
    assert away is not None
    connection.close()
    return away


def lose_the_session() -> None:
    with connection.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(pg_backend_pid())")


def be_away() -> None:
    raise Transient("cache")


@pytest.mark.parametrize(("how", "part"), [(be_away, "tested"), (lose_the_session, "database")])
def test_an_outage_burns_no_attempt(how: Callable[[], None], part: str) -> None:
    def handler(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        how()

    batch.handle(records_of(["ann", "ann"]), group_of(route_to(Refusing(0))))
    assert away_in(group_of(route_to(handler))).part == part
    assert (ParkedDelivery.objects.get(offset=0).attempts, rows()) == (1, [])
    assert waiting() == [("ann", 0, True), ("ann", 1, False)]
    retry(group_of(route_to(leave_row)))
    assert rows() == [("ann", 0), ("ann", 1)]


@pytest.fixture
def own_database_settings() -> Iterator[dict[str, Any]]:
    """Which a test may change: every new session is opened by them."""
    before = {**connection.settings_dict, "OPTIONS": {**connection.settings_dict["OPTIONS"]}}
    yield connection.settings_dict
    connection.settings_dict.update(before)
    connection.close()


def test_a_database_lost_before_a_failure_is_noted_is_an_outage(own_database_settings: dict[str, Any]) -> None:
    def lose_the_database(_: Counted, __: Delivery) -> None:
        own_database_settings["PORT"] = "1"
        oversleep()

    port = own_database_settings["PORT"]
    batch.handle(records_of(["ann"]), group_of(route_to(Refusing(0))))
    make_due()
    away = retries.retry_due(group_of(route_to(lose_the_database)), within_s=LIMIT_S)
    own_database_settings["PORT"] = port
    assert away is not None
    assert away.part == "database"
    assert only().attempts == 1


def rename_quietly() -> None:
    User.objects.update(display_name="x", version=2)


def break_the_transaction() -> None:
    transaction.set_rollback(True)


@pytest.mark.parametrize("how", [rename_quietly, break_the_transaction])
def test_a_retry_that_could_not_commit_is_put_off(how: Callable[[], None]) -> None:
    calls: list[int] = []

    def handler(event: Counted, delivery: Delivery) -> None:
        calls.append(event.n)
        leave_row(event, delivery)
        how()

    registered_user()
    batch.handle(records_of(["ann"]), group_of(route_to(Refusing(0))))
    retry(group_of(route_to(handler)))
    assert calls == [0]
    assert only().attempts == 2
    assert wait_s(only()) > 900
    assert rows() == []


@pytest.fixture
def uncommittable(effects: None) -> Iterator[None]:
    """No transaction that deletes a parked delivery commits, whatever it is asked before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "create function refuse_late() returns trigger language plpgsql as"
            " $$ begin raise 'not today' using errcode = '23514'; end $$;"
            "create constraint trigger late after delete on events_parked deferrable initially deferred"
            " for each row execute function refuse_late()"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("drop function refuse_late cascade")


@pytest.mark.usefixtures("uncommittable")
def test_a_retry_whose_own_bookkeeping_fails_is_put_off_too() -> None:
    handler = Refusing(0)
    group = group_of(route_to(handler))
    batch.handle(records_of(["ann"]), group)
    handler.guilty.clear()
    retry(group)
    assert handler.calls == [0, 0]
    assert only().attempts == 2
    assert wait_s(only()) > timedelta(minutes=15).total_seconds()
    assert rows() == []
