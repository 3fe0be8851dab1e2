"""Events brought to one handler, inside the transaction that the caller holds.

`deliveries` calls it for a batch, `retries` for a retry. What a handler raises ends here and goes on as an Outcome.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
from django.db import InterfaceError, InternalError, OperationalError, connection, transaction

from events.errors import Permanent, Transient
from events.inbox import store
from events.inbox.opening import Incoming
from events.inbox.store import Queue
from events.outbox.publish import Collected, TooManyKeys
from events.routing import Delivery, RetryPolicy, Route
from events.trace import following

# SQLSTATEs, whole or by class, that say "the surroundings", not "this statement": connection lost, deadlock and
# serialization, too few resources, waited too long for a lock, ended from outside, server's own trouble.
_SURROUNDINGS = ("08", "40", "53", "55P03", "57P", "58")
# The server ended the session since its transaction stood idle: some handler took too long over something else.
_TOO_SLOW = "25P03"
_CAUSES_MOST = 20
# Far less than any sensible idle_in_transaction_session_timeout: the session is kept, and who loses it is known.
LOOK_AFTER_MS = 500


class Pair(msgspec.Struct, frozen=True, gc=False):
    """One delivery of a batch: an event and one of its routes; `position` is the event's in the batch."""

    incoming: Incoming
    route: Route
    position: int = 0

    @property
    def queue(self) -> Queue:
        """Those that share it go in order."""
        return self.route.name, self.incoming.record.key or b""

    @property
    def id(self) -> tuple[str, UUID]:
        """Handler and event id."""
        return self.route.name, self.incoming.received.id


class Done(msgspec.Struct, frozen=True, gc=False):
    """The handler returned; its writes stand once the transaction commits. `ms` is its own time."""

    pairs: Sequence[Pair]
    ms: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised; what it wrote must be undone.

    `is_broken`: the transaction was broken before, so another may be to blame. `undoes_all`: nothing else of the
    transaction can stand either.
    """

    error: Exception
    is_broken: bool = False
    undoes_all: bool = False


@dataclass(frozen=True, slots=True)
class Away:
    """The surroundings failed, not the event: wait. `part` is `database`, or the handler whose own part is away."""

    part: str
    error: Exception


class Undone(Exception):
    """The transaction must be undone, since something failed; `blamed` is the delivery that did, if known."""

    def __init__(self, failed: Failed, blamed: Pair | None = None) -> None:
        super().__init__(failed)
        self.failed = failed
        self.blamed = blamed


class PartAway(Exception):
    """The transaction must be undone, since something is away."""

    def __init__(self, away: Away) -> None:
        super().__init__(away)
        self.away = away


def deliver(pairs: Sequence[Pair], collected: Collected) -> Done | Failed:
    """Call the handler of these pairs, which share it, once. Raises PartAway, and nothing that the handler raises."""
    route = pairs[0].route
    published = len(collected)
    started = time.perf_counter()
    # A call for many events belongs to no one's trace.
    with following(pairs[0].incoming.trace if len(pairs) == 1 else None):
        try:
            _call(route, pairs)
            if _ms_since(started) > LOOK_AFTER_MS:
                store.check_session()
            collected.refuse_too_many_keys(since=published)
        except Exception as error:  # noqa: BLE001 - the border: a handler may raise anything
            return failure(error, route)
    return Done(pairs, ms=_ms_since(started))


def make(pairs: Sequence[Pair], collected: Collected, *, is_alone: bool) -> Done | Failed:
    """As `deliver`, under a savepoint: after a failure nothing of it is left, and the transaction is whole.

    What deferred constraints have against its writes comes out here too, rather than at the commit. `is_alone` as in
    `check`. Raises PartAway; Undone where the transaction cannot go on.
    """
    published = len(collected)
    try:
        with transaction.atomic():
            outcome = deliver(pairs, collected)
            if isinstance(outcome, Failed):
                transaction.set_rollback(True)
            else:
                check(collected, is_alone=is_alone)
    except (PartAway, Undone):
        raise
    except Exception as error:  # noqa: BLE001 - the border, as above
        outcome = failure(error, pairs[0].route)
    if isinstance(outcome, Failed):
        collected.forget_from(published)
        if outcome.undoes_all:
            raise Undone(outcome, blamed=pairs[0] if len(pairs) == 1 else None)
    return outcome


def check(collected: Collected, *, is_alone: bool) -> None:
    """Raise what the commit would raise. What announces a row's change is written first: a trigger may look for it.

    Where one event `is_alone` in the transaction all is written that was published: whatever is refused is its own
    fault. Raises Undone where several have published to too many keys together.
    """
    try:
        collected.write(announcements_alone=not is_alone)
    except TooManyKeys as error:
        if is_alone:
            raise
        raise Undone(Failed(error, undoes_all=True)) from error
    store.check_constraints()


def is_last(failed: Failed, *, attempt: int, policy: RetryPolicy) -> bool:
    """Whether no other attempt follows this one (from 1)."""
    return isinstance(failed.error, Permanent) or attempt >= policy.attempts


def database_is_away(error: Exception) -> bool:
    """Whether `error` tells of the database's surroundings rather than of the statement, or the session is gone."""
    if isinstance(error, OperationalError | InterfaceError):
        state = _sqlstate(error)
        return state is None or state.startswith(_SURROUNDINGS) or state == _TOO_SLOW
    # A handler may have turned the database's error into one of its own.
    return connection.connection is None or connection.connection.closed


def _call(route: Route, pairs: Sequence[Pair]) -> None:
    if route.is_batch:
        route.handler([(pair.incoming.event, _delivery(pair)) for pair in pairs])
    else:
        route.handler(pairs[0].incoming.event, _delivery(pairs[0]))


def _delivery(pair: Pair) -> Delivery:
    received = pair.incoming.received
    return Delivery(received.id, pair.route.name, received.time, pair.incoming.trace)


def failure(error: Exception, route: Route) -> Failed:
    """What an error of a handler, or of its writes, says. Raises PartAway: nothing of the handler."""
    if isinstance(error, Transient):
        raise PartAway(Away(route.name, error)) from error
    if _was_too_slow(error):
        return Failed(error, undoes_all=True)
    if database_is_away(error):
        raise PartAway(Away("database", error)) from error
    return Failed(error, is_broken=isinstance(error, transaction.TransactionManagementError | InternalError))


def _was_too_slow(error: BaseException | None) -> bool:
    """Also where a handler has turned the server's error into its own."""
    for _ in range(_CAUSES_MOST):
        if error is None:
            break
        if getattr(error, "sqlstate", None) == _TOO_SLOW:
            return True
        error = error.__cause__ or error.__context__
    return False


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _sqlstate(error: Exception) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)
