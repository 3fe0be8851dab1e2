"""For the tests of projects that use this app: events without Kafka, through the real outbox, inbox and handlers.

    with captured_events() as events:
        rename_user(…)
    assert [event.type for event in events] == ["user.updated"]

    deliver_pending()       # what the outbox holds, to the routed handlers
    deliver(UserRenamed(…)) # one event that nobody published

Works inside a test case's own transaction. Repeats have no effect, as in production: the inbox knows them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from django.utils import timezone
from uuid_utils.compat import uuid7

from events.conf import EventsSettings
from events.envelope import Headers, Stamp, seal
from events.event import Event
from events.inbox import batch
from events.inbox.deliveries import Deliveries
from events.inbox.group import Group
from events.inbox.opening import open_record
from events.kafka import Record
from events.models import OutboxRecord
from events.outbox.store import decode_headers
from events.routing import Routes
from events.trace import current_traceparent


@contextmanager
def captured_events(*, routes: Routes | None = None) -> Iterator[list[Event]]:
    """The events published in the block, as a reader of Kafka would decode them; filled when it ends."""
    classes = _routes(routes).classes
    before = _last_id()
    events: list[Event] = []
    yield events
    events += [classes[record.type].from_json(bytes(record.value)) for record in _records_after(before)]


def deliver_pending(*, routes: Routes | None = None) -> None:
    """Bring all that the outbox holds to its handlers, and what these publish too. Raises what a handler raises."""
    done = 0
    while records := _records_after(done):
        for record in records:
            _handle(_read_back(record), _routes(routes))
            done = record.id


def deliver(event: Event, *, event_id: UUID | None = None, routes: Routes | None = None) -> UUID:
    """Bring one event to its handlers; gives its id, to deliver it again. Raises what a handler raises."""
    settings = EventsSettings.current()
    stamp = Stamp(
        id=event_id or uuid7(), source=settings.source, time=timezone.now(), traceparent=current_traceparent()
    )
    envelope = seal(event, topic=settings.topics[event.topic], stamp=stamp)
    _handle(_record(envelope.topic, 0, envelope.key, envelope.headers, envelope.value), _routes(routes))
    return stamp.id


def _handle(record: Record, routes: Routes) -> None:
    group = Group(name=EventsSettings.current().group, routes=routes)
    outcome = batch.settle([open_record(record, routes)], group)
    if not isinstance(outcome, Deliveries):
        raise outcome.error
    for _, failed in outcome.failed:
        raise failed.error


def _read_back(row: OutboxRecord) -> Record:
    return _record(row.topic, row.id, row.key, decode_headers(bytes(row.headers)), bytes(row.value))


def _record(topic: str, offset: int, key: str, headers: Headers, value: bytes) -> Record:
    return Record(topic, 0, offset, int(timezone.now().timestamp() * 1000), key.encode(), headers, value)


def _routes(given: Routes | None) -> Routes:
    return EventsSettings.current().load_routes() if given is None else given


def _last_id() -> int:
    last = OutboxRecord.objects.order_by("id").values_list("id", flat=True).last()
    return last or 0


def _records_after(last_id: int) -> Sequence[OutboxRecord]:
    return list(OutboxRecord.objects.filter(id__gt=last_id).order_by("id"))
