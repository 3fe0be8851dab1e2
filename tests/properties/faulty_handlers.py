"""Handlers that fail for the events they are told to, each in one of several ways, and the group that has them.

`inbox_members` brings them events; `inbox_books` judges by the rows that they leave.
"""

import threading
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from events.errors import Permanent, Transient
from events.inbox.group import Group
from events.outbox.publish import publish
from events.routing import Delivery, RetryPolicy, Routes, on, on_batch
from tests.integration.batching import Events, Gate, leave_rows, refuse, swallow_an_error
from tests.integration.counting import Counted, leave_row
from tests.integration.relaying import Noted

GROUP = "machine"
WAITING = ("single", "batched", "publishing")
GOING_ON = "going-on"
HANDLERS = (*WAITING, GOING_ON)
ATTEMPTS_MOST = 2

# What a commit alone would find, and PostgreSQL looks at when it is told to.
LATE = "create table late (n int unique deferrable initially deferred); insert into late values (0)"


class Pair(NamedTuple):
    """A handler, and the event that is to fail there."""

    handler: str
    event_id: UUID


def refuse_for_good() -> None:
    raise Permanent("never")


def break_a_deferred_constraint() -> None:
    with connection.cursor() as cursor:
        cursor.execute("insert into late values (0)")


def miss_a_part() -> None:
    raise Transient("cache")


def lose_session() -> None:
    with connection.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(pg_backend_pid())")


OWN_FAULTS: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (refuse, refuse_for_good, break_a_deferred_constraint, swallow_an_error)
}
OUTAGES: dict[str, Callable[[], None]] = {one.__name__: one for one in (miss_a_part, lose_session)}
FAULTS = OWN_FAULTS | OUTAGES

_here = threading.local()


def stop_this_thread_at(gate: Gate | None) -> None:
    """The next handler that it calls waits there, once."""
    _here.gate = gate


class FaultyHandlers:
    """One of each kind. `faults` says which pairs fail, and how; may be changed at any time."""

    def __init__(self) -> None:
        self.faults: dict[Pair, str] = {}
        policy = RetryPolicy(attempts=ATTEMPTS_MOST, first_s=1_000)
        going_on = RetryPolicy(attempts=ATTEMPTS_MOST, first_s=1_000, after_death="continue")
        self.group = Group(
            name=GROUP,
            routes=Routes(
                on_batch(Counted, self._take_batch, name="batched", retry=policy),
                on(Counted, self._take, name="single", retry=policy),
                on(Counted, self._take_and_publish, name="publishing", retry=policy),
                on(Counted, self._take, name=GOING_ON, retry=going_on),
            ),
        )

    def _take(self, event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        self._fail_if_told(delivery)

    def _take_and_publish(self, event: Counted, delivery: Delivery) -> None:
        publish(Noted(of=event.name, n=event.n))
        self._take(event, delivery)

    def _take_batch(self, events: Events) -> None:
        leave_rows(events)
        for _, delivery in events:
            self._fail_if_told(delivery)

    def _fail_if_told(self, delivery: Delivery) -> None:
        gate, _here.gate = getattr(_here, "gate", None), None
        if gate:
            gate.stop_here()
        pair = Pair(delivery.handler, delivery.event_id)
        fault = self.faults.get(pair)
        if fault in OUTAGES:
            del self.faults[pair]  # it is over soon; or nobody would get past it
        if fault:
            FAULTS[fault]()
