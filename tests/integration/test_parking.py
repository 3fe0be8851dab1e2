"""What a delivery that fails takes with it: nothing but what must wait for it, whatever way it fails."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import User
from events.errors import Permanent
from events.inbox import batch
from events.kafka import Record
from events.models import ParkedDelivery
from events.outbox.publish import publish
from events.routing import Delivery, RetryPolicy, on, on_batch
from tests.integration.batching import (
    Events,
    Refusing,
    failing_on,
    group_of,
    handle,
    leave_rows,
    oversleep,
    records_of,
    refuse,
    retry,
    waiting,
)
from tests.integration.counting import Counted, leave_row, rows
from tests.integration.mailing import registered_user
from tests.integration.test_user_triggers import renamed

pytestmark = pytest.mark.usefixtures("effects")

BOTH = pytest.mark.parametrize("carefully", [False, True], ids=["at first", "where failures are expected"])
THREE = ["ann", "bob", "cid"]
SAVEPOINT = 32  # deliveries


# Faults that show at the commit alone --------------------------------------------------------------------------


def rename_quietly(user: User) -> None:
    User.objects.filter(id=user.id).update(display_name="x", version=2)


def rename_and_tell(user: User) -> None:
    rename_quietly(user)
    publish(renamed(user, 2))


@BOTH
def test_a_handler_that_changes_a_user_without_its_event_is_parked_alone(*, carefully: bool) -> None:
    user = registered_user()
    handle(records_of(THREE), failing_on(1, lambda: rename_quietly(user)), carefully=carefully)
    assert rows() == [("ann", 0), ("cid", 2)]
    assert waiting() == [("bob", 1, True)]
    assert "without its event" in ParkedDelivery.objects.get().error
    assert User.objects.get().version == 1


@BOTH
def test_a_handler_that_changes_a_user_and_publishes_its_event_is_done(*, carefully: bool) -> None:
    user = registered_user()
    handle(records_of(THREE), failing_on(1, lambda: rename_and_tell(user)), carefully=carefully)
    assert rows() == [("ann", 0), ("bob", 1), ("cid", 2)]
    assert waiting() == []
    assert User.objects.get().version == 2


def test_one_that_publishes_its_event_is_done_though_another_of_its_batch_fails() -> None:
    user = registered_user()

    def handler(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        if event.n == 0:
            rename_and_tell(user)
        if event.n == 2:
            refuse()

    handle(records_of(THREE), handler)
    assert rows() == [("ann", 0), ("bob", 1)]
    assert waiting() == [("cid", 2, True)]
    assert User.objects.get().version == 2


def test_a_batch_handler_that_changes_a_user_without_its_event_is_halved() -> None:
    user = registered_user()

    def handler(events: Events) -> None:
        leave_rows(events)
        if any(event.n == 1 for event, _ in events):
            rename_quietly(user)

    batch.handle(records_of(THREE), group_of(on_batch(Counted, handler, name="tested")))
    assert rows() == [("ann", 0), ("cid", 2)]
    assert waiting() == [("bob", 1, True)]


def test_a_delivery_known_to_fail_waits_unblamed_where_an_earlier_one_of_its_key_fails_at_the_constraints() -> None:
    user = registered_user()

    def handler(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        if event.n == 0:
            rename_quietly(user)
        if event.n == SAVEPOINT:
            refuse()

    handle(records_of(["ann", *(f"k{n}" for n in range(1, SAVEPOINT)), "ann"]), handler)
    assert waiting() == [("ann", 0, True), ("ann", SAVEPOINT, False)]
    assert list(ParkedDelivery.objects.order_by("id").values_list("attempts", flat=True)) == [1, 0]


# Handlers that take too long -----------------------------------------------------------------------------------


def oversleep_and_write() -> None:
    oversleep()
    with connection.cursor() as cursor:
        cursor.execute("select 1")


def oversleep_and_disguise() -> None:
    try:
        oversleep_and_write()
    except Exception as error:
        raise ValueError("could not") from error


@pytest.mark.parametrize(
    ("how", "carefully"),
    [(oversleep, False), (oversleep, True), (oversleep_and_write, True), (oversleep_and_disguise, False)],
)
def test_a_handler_that_outlives_its_session_is_parked_and_the_others_are_done(
    how: Callable[[], None], *, carefully: bool
) -> None:
    progress = handle(records_of(THREE), failing_on(1, how), carefully=carefully)
    assert progress.away is None
    assert progress.settled == {("user.events", 0): 3}
    assert rows() == [("ann", 0), ("cid", 2)]
    assert waiting() == [("bob", 1, True)]
    assert ParkedDelivery.objects.get().attempts == 1


@pytest.mark.parametrize("how", [oversleep, oversleep_and_disguise])
def test_a_retry_that_outlives_its_session_counts_as_an_attempt(how: Callable[[], None]) -> None:
    handle(records_of(["ann"]), failing_on(0, refuse))
    retry(group_of(on(Counted, failing_on(0, how), name="tested")))
    assert ParkedDelivery.objects.get().attempts == 2
    assert rows() == []


def test_a_batch_handler_that_outlives_its_session_is_halved() -> None:
    def handler(events: Events) -> None:
        leave_rows(events)
        if any(event.n == 1 for event, _ in events):
            oversleep()

    batch.handle(records_of(["ann", "bob"]), group_of(on_batch(Counted, handler, name="tested")))
    assert rows() == [("ann", 0)]
    assert waiting() == [("bob", 1, True)]


@pytest.fixture
def impatient(effects: None) -> Iterator[None]:
    """A server that ends a session whose transaction stands idle for two seconds."""
    options: dict[str, Any] = connection.settings_dict["OPTIONS"]
    before = options["options"]
    options["options"] = before + " -c idle_in_transaction_session_timeout=2s"
    connection.close()
    yield
    options["options"] = before
    connection.close()


@pytest.mark.usefixtures("impatient")
def test_many_handlers_that_leave_the_database_alone_for_a_while_each_do_not_lose_the_session() -> None:
    def handler(event: Counted, _: Delivery) -> None:
        if event.n < 5:
            # Waits for nothing: it is the handler's own time. Five of them are longer than the session may stand idle,
            # one is not.
            time.sleep(0.6)

    progress = handle(records_of([f"k{n}" for n in range(6)]), handler)
    assert progress.away is None
    assert progress.settled == {("user.events", 0): 6}
    assert waiting() == []


# What follows a dead letter ------------------------------------------------------------------------------------


def dead_and_waiting() -> list[tuple[int, bool, bool]]:
    """Offset, whether it is dead, and whether it has a time, of each parked delivery."""
    parked = ParkedDelivery.objects.order_by("id")
    return [(one.offset, one.dead_at is not None, one.next_attempt_at is not None) for one in parked]


@BOTH
@pytest.mark.parametrize(
    ("handler", "attempts"), [(Refusing(0, error=Permanent("never")), 5), (Refusing(0), 1)], ids=["permanent", "last"]
)
def test_behind_a_dead_letter_later_events_wait_or_go_on_as_the_route_says(
    handler: Refusing, attempts: int, *, carefully: bool
) -> None:
    for after_death in ("wait", "continue"):
        policy = RetryPolicy(attempts=attempts, after_death=after_death)
        group = group_of(on(Counted, handler, name="tested", retry=policy), name=after_death)
        batch.handle(records_of(["ann", "ann"]), group, carefully=carefully)
        batch.handle([later()], group, carefully=carefully)
    assert dead_and_waiting() == [(0, True, False), (1, False, False), (2, False, False), (0, True, False)]
    assert rows() == [("ann", 1), ("ann", 2)]


def later() -> Record:
    return records_of(["ann", "ann", "ann"])[2]


@pytest.mark.parametrize("text", ["a\0b", "\udcff"], ids=["NUL", "half a surrogate pair"])
def test_an_error_may_say_what_the_database_cannot_keep(text: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, logger="events")  # a worker's report cannot carry half a pair either
    group = group_of(on(Counted, Refusing(0, error=ValueError(text)), name="tested", retry=RetryPolicy(attempts=3)))
    assert batch.handle(records_of(["ann"]), group).settled == {("user.events", 0): 1}
    retry(group)
    assert ParkedDelivery.objects.get().attempts == 2
    retry(group)
    assert dead_and_waiting() == [(0, True, False)]


def test_an_error_without_end_is_kept_by_its_end() -> None:
    handle(records_of(["ann"]), failing_on(0, refuse_at_length))
    error = ParkedDelivery.objects.get().error
    assert len(error) == 20_000
    assert error.endswith("end\n")


def refuse_at_length() -> None:
    raise ValueError("x" * 1_000_000 + "end")


def test_what_a_failed_handler_left_for_after_the_commit_is_not_done() -> None:
    done: list[int] = []

    def handler(event: Counted, _: Delivery) -> None:
        transaction.on_commit(lambda: done.append(event.n))
        if event.n == 1:
            refuse()

    handle(records_of(THREE), handler)
    assert done == [0, 2]
