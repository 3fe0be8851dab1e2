"""One event brought to one handler.

`batch` delivers each new event to its handlers inside the transaction that it holds. What a
handler raises ends here and goes on as an Outcome.
"""

import time
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError, connection

from events import observe
from events.errors import Transient
from events.inbox import store
from events.inbox.opening import Incoming
from events.outbox.publish import OutOfOrder, TooManyKeys
from events.routing import Delivery, Route
from events.trace import following

# SQLSTATEs, whole or by class, that say "the surroundings", not "this statement": connection lost, deadlock and
# serialization, too few resources, waited too long for a lock, ended from outside, server's own trouble.
_SURROUNDINGS = ("08", "25P03", "40", "53", "55P03", "57P", "58")


@dataclass(frozen=True, slots=True)
class Done:
    """The handler returned; its writes stand once the batch commits. `ms` is its own time."""

    incoming: Incoming
    route: Route
    ms: float


@dataclass(frozen=True, slots=True)
class Failed:
    """Something raised; nothing of this transaction may be kept."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Away:
    """The surroundings failed, not the event: wait. `part` is `database`, or the handler whose own part is away."""

    part: str
    error: Exception


Outcome = Done | Failed | Away


def deliver(incoming: Incoming, route: Route, *, alone: bool) -> Outcome:
    """Call one handler under the event's trace. Never raises what the handler raised.

    `alone`: no other event shares the transaction, so whatever is wrong with it is this one's own doing. Then what
    a deferred constraint has against its writes comes out here too, rather than at the commit.
    """
    delivery = Delivery(incoming.received.id, route.name, incoming.received.time)
    started = time.perf_counter()
    with following(incoming.trace):
        try:
            route.handler(incoming.event, delivery)
            if alone:
                store.check_constraints()
        except Exception as error:  # noqa: BLE001 - the border: a handler may raise anything
            return _failure(error, incoming, route, alone=alone)
    return Done(incoming, route, ms=(time.perf_counter() - started) * 1000)


def database_is_away(error: Exception) -> bool:
    """Whether `error` tells of the database's surroundings rather than of the statement, or the session is gone."""
    if isinstance(error, OperationalError | InterfaceError):
        state = getattr(error.__cause__, "sqlstate", None)
        return state is None or state.startswith(_SURROUNDINGS)
    # A handler may have turned the database's error into one of its own.
    return connection.connection is None or connection.connection.closed


def _failure(error: Exception, incoming: Incoming, route: Route, *, alone: bool) -> Failed | Away:
    if isinstance(error, Transient):
        return Away(route.name, error)
    if database_is_away(error):
        return Away("database", error)
    if isinstance(error, OutOfOrder | TooManyKeys) and not alone:
        return Failed(error)  # of all that this transaction published, not of this handler
    observe.record_delivery_failed(
        topic=incoming.record.topic,
        event_id=incoming.received.id,
        event_type=incoming.received.type,
        handler=route.name,
    )
    return Failed(error)
