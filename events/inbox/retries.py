"""Trying again the deliveries that were set aside, when their time has come, and dead letters that are replayed.

`consumer` calls `retry_due` between two polls. A retry locks its delivery, calls the handler and deletes the delivery
in one transaction, some of different keys together; what waited behind it is due then, in order.
docs/decisions/parking.md.
"""

import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from django.db import Error, transaction

from events.inbox import parking, store, telling
from events.inbox.batch import deliver_new
from events.inbox.dead_letters import copy_to_topic
from events.inbox.deliveries import Deliveries
from events.inbox.delivery import Away, Done, Failed, Pair, PartAway, Undone, database_is_away, make
from events.inbox.group import Group
from events.inbox.opening import Incoming, Opened, Unreadable, open_record
from events.inbox.store import NewParked
from events.models import ParkedDelivery
from events.outbox.publish import Collected, collecting
from events.routing import RetryPolicy

_TOGETHER = 32  # a transaction for each would cost more than most handlers


def retry_due(group: Group, *, within_s: float) -> Away | None:
    """Retry one after the other until none is due or the time is up. Gives what is away, if anything was.

    A handler whose part is away is left out for the rest of the round: it keeps no other one waiting.
    """
    until = time.monotonic() + within_s
    together, left_out, away = _TOGETHER, set[str](), None
    while time.monotonic() < until:
        outcome = _retry_next(group, together, until, left_out)
        if isinstance(outcome, Away) and outcome.part in group.routes.names:
            left_out.add(outcome.part)
            together, away = _TOGETHER, outcome
        elif isinstance(outcome, Away) or outcome is None:
            return outcome or away
        else:
            together = outcome
    return away


def _retry_next(
    group: Group, together: int, until: float, left_out: AbstractSet[str] = frozenset()
) -> int | Away | None:  # fmt: skip
    """So many in one transaction; gives how many to take next: one alone where nobody can be named."""
    due: Sequence[ParkedDelivery] = ()
    try:
        with transaction.atomic(durable=True), collecting() as collected:
            due = store.take_due(
                group=group.name, handlers=group.routes.names - left_out, going_on=group.routes.going_on,
                limit=together,
            )  # fmt: skip
            told = [
                _retry(parked, group, collected, is_alone=len(due) == 1)
                for parked in due
                if parked is due[0] or time.monotonic() < until
            ]
            collected.write()
            store.check_constraints()
    except Exception as error:  # noqa: BLE001 - the border: the commit runs what handlers left for it, too
        return 1 if len(due) > 1 else _undone(error, due, group)
    for deliveries in told:
        telling.tell_deliveries(deliveries, is_retry=True)
    return together if due else None


def _undone(error: Exception, due: Sequence[ParkedDelivery], group: Group) -> int | Away:
    if isinstance(error, PartAway):
        return error.away
    if not due or (database_is_away(error) and not isinstance(error, Undone)):
        return Away("database", error)
    return _note_failure(due[0], error.failed if isinstance(error, Undone) else Failed(error), group) or 1


def _retry(parked: ParkedDelivery, group: Group, collected: Collected, *, is_alone: bool) -> Deliveries:
    deliveries = Deliveries(collected, set())
    opened = open_record(store.record_of(parked), group.routes, group.cluster)
    route = group.routes.route_named(parked.handler)
    if route is None or not isinstance(opened, Incoming):
        return _reopen(parked, opened, group, deliveries)
    pair = Pair(opened, route)
    outcome = make([pair], collected, is_alone=is_alone)
    if isinstance(outcome, Done):
        deliveries.done.append(outcome)
        store.remove(parked.id)
        store.promote(group=group.name, queue=pair.queue, goes_on=route.name in group.routes.going_on)
    else:
        deliveries.failed.append((pair, outcome))
        _fail(parked, outcome, group)
    return deliveries


def _reopen(parked: ParkedDelivery, opened: Opened, group: Group, deliveries: Deliveries) -> Deliveries:
    """A whole record is replayed: this version may read it, and what was refused may be accepted now."""
    if not isinstance(opened, Incoming):
        reason = opened.reason if isinstance(opened, Unreadable) else "type-unknown: this version has no such event"
        _bury(parked, reason, "", group)
        return deliveries
    event_id = opened.received.id
    # Where the letter goes by the event's own id, the inbox took that in when the letter was buried.
    is_new = parked.event_id == event_id or bool(store.receive(group=group.name, event_ids=[event_id]))
    store.remove(parked.id)
    return deliver_new([opened], group, deliveries.collected, known={}, vouched=True) if is_new else deliveries


def _fail(parked: ParkedDelivery, failed: Failed, group: Group) -> None:
    """One attempt more: another follows, or none."""
    route = group.routes.route_named(parked.handler)
    policy = route.retry if route else RetryPolicy(attempts=1)
    following = parking.next_after(failed, attempt=parked.attempts + 1, policy=policy)
    if following.wait_s is None:
        _bury(parked, following.reason, following.error, group)
    else:
        store.postpone(parked.id, reason=following.reason, error=following.error, wait_s=following.wait_s)


def _bury(parked: ParkedDelivery, reason: str, error: str, group: Group) -> None:
    store.bury(parked.id, reason=reason, error=error)
    record = store.record_of(parked)
    copy_to_topic(
        NewParked(record, parked.handler, parked.event_id, parked.type, reason, attempts=parked.attempts + 1),
        group=group.name,
    )
    if parked.handler in group.routes.going_on:
        store.promote(group=group.name, queue=(parked.handler, record.key or b""), goes_on=True)


def _note_failure(parked: ParkedDelivery, failed: Failed, group: Group) -> Away | None:
    """In a transaction of its own: that of the attempt is gone. Whoever has it in hand by now notes for himself."""
    try:
        with transaction.atomic(durable=True), collecting() as collected:
            if store.is_still(parked):
                _fail(parked, failed, group)
            collected.write()
    except Error as error:
        if database_is_away(error):
            return Away("database", error)
        raise
    telling.tell_retry_failed(parked, failed)
    return None
