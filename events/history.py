"""What became of the events of a key: on record in Kafka or not yet, and how far each handler of this project is.

For pages that operators look at (`accounts/api/administration_events.py`). Reads alone, and never an event's data,
which may be personal. What is too old stands nowhere any more: retention deletes it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from events.conf import DEAD_LETTERS, EventsSettings
from events.envelope import Actor
from events.inbox.store import horizon
from events.models import InboxRecord, OutboxRecord, ParkedDelivery
from events.outbox.store import decode_headers

RecordState = Literal["pending", "published", "dead"]
HandlerState = Literal["waiting", "done", "parked", "dead", "unknown"]
RECORD_STATES: Sequence[RecordState] = ("pending", "published", "dead")
HANDLER_STATES: Sequence[HandlerState] = ("waiting", "done", "parked", "dead", "unknown")


@dataclass(frozen=True, slots=True)
class Handled:
    """How far one handler is with one event.

    waiting: the event has not come yet; done, also where an operator has discarded it; parked, until
    `next_attempt_at` or, without one, behind an earlier delivery of its key; dead: given up; unknown: so old that the
    inbox may have forgotten it.
    """

    name: str
    state: HandlerState
    attempts: int = 0
    next_attempt_at: datetime | None = None


def records_of(key: str) -> QuerySet[OutboxRecord]:
    """The events of a key: without copies of dead letters, and of a record that was requeued its latest copy alone."""
    copies = OutboxRecord.objects.filter(key=OuterRef("key"), requeue_of=OuterRef("id"))
    ours = OutboxRecord.objects.filter(key=key).exclude(topic__endswith=DEAD_LETTERS)
    return ours.exclude(Exists(copies)).defer("value")


def state_of(record: OutboxRecord) -> RecordState:
    """How far it is on its way to Kafka."""
    if record.dead_at:
        return "dead"
    return "published" if record.published_at else "pending"


def actor_of(record: OutboxRecord) -> Actor | None:
    """Who caused the change, where that is known."""
    told = {name: value.decode() for name, value in decode_headers(bytes(record.headers))}
    return Actor(told["ce_authtype"], told.get("ce_authid", "")) if "ce_authtype" in told else None


def handled(records: Sequence[OutboxRecord]) -> Mapping[UUID, Sequence[Handled]]:
    """How far each handler is with each event of these records, which are of one key; in the order of the routes.

    Handlers that have no route any more follow, where something is set aside for them.
    """
    settings = EventsSettings.current()
    routes, ids = settings.load_routes(), [record.event_id for record in records]
    received = _received(ids, settings.group)
    forgotten = _perhaps_forgotten(set(ids) - received, settings.group)
    parked = _parked(records, settings.group)
    found = {}
    for record in records:
        routed = [route.name for route in routes.handlers_of(record.type)]
        letters = parked[record.event_id]
        otherwise: HandlerState = "waiting"
        if record.event_id in received:
            otherwise = "done"
        elif record.event_id in forgotten:
            otherwise = "unknown"
        names = [*routed, *sorted(letters.keys() - {"", *routed})]
        found[record.event_id] = [_handled(name, letters.get(name) or letters.get(""), otherwise) for name in names]
    return found


def _handled(name: str, letter: ParkedDelivery | None, otherwise: HandlerState) -> Handled:
    """`letter`: what is set aside for it, or for all handlers of the event."""
    if letter is None:
        return Handled(name, otherwise)
    return Handled(name, "dead" if letter.dead_at else "parked", letter.attempts, letter.next_attempt_at)


def _received(ids: Sequence[UUID], group: str) -> set[UUID]:
    return set(InboxRecord.objects.filter(group=group, event_id__in=ids).values_list("event_id", flat=True))


def _perhaps_forgotten(ids: Iterable[UUID], group: str) -> set[UUID]:
    """Those of these that are so old that they may have been pruned from the inbox. An id begins with its time."""
    before = horizon(group=group)
    boundary = int(before.timestamp() * 1000) if before else 0
    return {event_id for event_id in ids if event_id.int >> 80 < boundary}


def _parked(records: Sequence[OutboxRecord], group: str) -> Mapping[UUID, Mapping[str, ParkedDelivery]]:
    """By event and handler; what concerns a whole record has no handler, and another index."""
    keys = {record.key.encode() for record in records}
    set_aside = ParkedDelivery.objects.filter(group=group, event_id__in=[record.event_id for record in records])
    of_handlers = set_aside.filter(~Q(handler=""), key__in=keys)
    found: defaultdict[UUID, dict[str, ParkedDelivery]] = defaultdict(dict)
    for letter in [*_light(of_handlers), *_light(set_aside.filter(handler=""))]:
        found[letter.event_id][letter.handler] = letter
    return found


def _light(parked: QuerySet[ParkedDelivery]) -> QuerySet[ParkedDelivery]:
    return parked.only("event_id", "handler", "attempts", "next_attempt_at", "dead_at")
