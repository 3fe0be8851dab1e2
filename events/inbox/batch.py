"""One batch of records in one transaction: inbox records, handlers' writes and dead letters, or nothing of it.

`consumer` hands over what one poll brought and commits the offsets that come back as settled. When anything in the
batch fails, it is undone and its records are taken one by one; a record that fails alone stays unsettled, and with it
what follows it in its partition. READ COMMITTED throughout: a batch must see what another member has just committed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from django.db import transaction
from django.utils import timezone

from events import observe
from events.inbox import store
from events.inbox.delivery import (
    Away,
    Done,
    Failed,
    database_is_away,
    deliver,
)
from events.inbox.opening import Incoming, Opened, Unknown, Unreadable, open_record
from events.kafka import Place, Record
from events.routing import Routes
from events.trace import following


@dataclass(slots=True)
class Progress:
    """How far a batch came: for each partition the next offset, or the one to take up again.

    `away` says which part was missing, if that is why something is unsettled.
    """

    settled: dict[Place, int] = field(default_factory=dict)
    unsettled: dict[Place, int] = field(default_factory=dict)
    away: Away | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """What one transaction did: to be told now that it stands."""

    done: Sequence[Done]
    buried: Sequence[Unreadable]


def handle(records: Sequence[Record], *, routes: Routes, group: str, one_by_one: bool = False) -> Progress:
    """Settle as many of the records as can be now; they come partition by partition, in offset order."""
    opened = [open_record(record, routes) for record in records]
    if len(opened) > 1 and not one_by_one and isinstance(handle_as_one(opened, group=group), Committed):
        return Progress(settled={place_of(one): one.record.offset + 1 for one in opened})
    return _handle_one_by_one(opened, group)


def handle_as_one(opened: Sequence[Opened], *, group: str) -> Committed | Failed | Away:
    """All of them in one transaction, or none. Told to the log and the metrics once it has committed."""
    try:
        with transaction.atomic(durable=True):
            outcome = _work(opened, group)
            if not isinstance(outcome, Committed):
                transaction.set_rollback(True)
    except Exception as error:  # noqa: BLE001 - the border: the commit runs what handlers left for it, too
        return _without_a_handler(error, opened)
    if isinstance(outcome, Committed):
        _tell(opened, outcome)
    return outcome


def place_of(opened: Opened) -> Place:
    """Topic and partition."""
    return opened.record.topic, opened.record.partition


def _handle_one_by_one(opened: Sequence[Opened], group: str) -> Progress:
    progress = Progress()
    for one in opened:
        place, offset = place_of(one), one.record.offset
        if place in progress.unsettled:
            continue
        outcome = progress.away or handle_as_one([one], group=group)
        match outcome:
            case Committed():
                progress.settled[place] = offset + 1
            case Failed():
                progress.unsettled[place] = offset
            case Away():
                progress.away = outcome
                progress.unsettled[place] = offset
            case _:
                assert_never(outcome)
    return progress


def _work(opened: Sequence[Opened], group: str) -> Committed | Failed | Away:
    incoming = [one for one in opened if isinstance(one, Incoming)]
    done = _deliver_new(incoming, group, alone=len(opened) == 1) if incoming else []
    if not isinstance(done, list):
        return done
    unreadable = [one for one in opened if isinstance(one, Unreadable)]
    buried = [one for one in unreadable if store.bury(one.record, group=group, reason=one.reason)]
    return Committed(done, buried)


def _deliver_new(incoming: Sequence[Incoming], group: str, *, alone: bool) -> list[Done] | Failed | Away:
    new = store.receive(group=group, event_ids=[one.received.id for one in incoming])
    done = []
    for one in incoming:
        if one.received.id not in new:
            continue
        new.discard(one.received.id)  # the same event may stand in one batch twice
        for route in one.routes:
            outcome = deliver(one, route, alone=alone)
            if not isinstance(outcome, Done):
                return outcome
            done.append(outcome)
    store.check_constraints()
    return done


def _without_a_handler(error: Exception, opened: Sequence[Opened]) -> Failed | Away:
    if database_is_away(error):
        return Away("database", error)
    first = opened[0].record
    observe.record_not_settled(topic=first.topic, partition=first.partition, offset=first.offset, records=len(opened))
    return Failed(error)


def _tell(opened: Sequence[Opened], committed: Committed) -> None:
    handled_at = timezone.now()
    for done in committed.done:
        received = done.incoming.received
        with following(done.incoming.trace):
            observe.record_handled(
                event_id=received.id,
                event_type=received.type,
                handler=done.route.name,
                handled_at=handled_at,
                ms=done.ms,
            )
    for one in opened:
        _tell_settled(one)
    for unreadable in committed.buried:
        record = unreadable.record
        observe.record_dead_letter(
            topic=record.topic, partition=record.partition, offset=record.offset, reason=unreadable.reason
        )


def _tell_settled(one: Opened) -> None:
    record = one.record
    if isinstance(one, Unknown):
        observe.record_skipped(topic=record.topic, partition=record.partition, offset=record.offset)
    else:
        event_type = one.received.type if isinstance(one, Incoming) else observe.UNKNOWN
        observe.record_settled(topic=record.topic, event_type=event_type)
