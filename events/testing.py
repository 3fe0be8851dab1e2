"""For the tests of projects that use this app: events without Kafka, through the real outbox, inbox and handlers.

    with captured_events() as events:
        rename_user(…)
    assert [event.type for event in events] == ["user.updated"]

    deliver_pending()       # what the outbox holds, to the routed handlers
    deliver(UserRenamed(…)) # one event that nobody published

Works inside a test case's own transaction, and without one. Repeats have no effect, as in production: the inbox knows
them. Nothing is ever parked: what a handler raises reaches the test, and nothing of that call is left. Dead letters'
copies (topics that end in `.dlq`) are left alone. Handlers' `on_commit` needs a commit: Django's
`captureOnCommitCallbacks(execute=True)` around the call makes up for it within a test case.
docs/events-in-your-project.md.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from events.conf import DEAD_LETTERS, EventsSettings
from events.envelope import Headers, Stamp, seal
from events.event import Event
from events.inbox import store
from events.inbox.batch import deliver_new
from events.inbox.delivery import PartAway, Undone
from events.inbox.group import Group
from events.inbox.opening import Incoming, Unknown, Unreadable, open_record
from events.kafka import Record
from events.models import OutboxRecord
from events.outbox.publish import collecting
from events.outbox.store import decode_headers
from events.routing import Routes
from events.trace import current_traceparent


class Undeliverable(AssertionError):
    """An event that no handler would ever meet: no consumer could read it, its type is not routed, or it waits."""


@contextmanager
def captured_events(*, routes: Routes | None = None) -> Iterator[list[Event]]:
    """The events published in the block, as a reader of Kafka would decode them; filled when it ends.

    Raises Undeliverable.
    """
    before = _last_id()
    events: list[Event] = []
    yield events
    events += [_opened(_read_back(row), _routes(routes)).event for row in _records_after(before)]


def deliver_pending(*, routes: Routes | None = None) -> None:
    """Bring all that the outbox holds to its handlers, and what these publish too.

    As a consumer would: in batches, each in one transaction; types that are not routed are skipped. Raises what a
    handler raises, whose batch is undone then; Undeliverable.
    """
    table, most, done = _routes(routes), EventsSettings.current().consumer_batch, 0
    while rows := _records_after(done)[:most]:
        _handle([_opened(_read_back(row), table) for row in rows if row.type in table.classes], table)
        done = rows[-1].id


def deliver(event: Event, *, event_id: UUID | None = None, routes: Routes | None = None) -> UUID:
    """Bring one event to its handlers; gives its id, to deliver it again.

    Raises what a handler raises; Undeliverable.
    """
    settings, table = EventsSettings.current(), _routes(routes)
    stamp = Stamp(
        id=event_id or uuid7(), source=settings.source, time=timezone.now(), traceparent=current_traceparent()
    )
    envelope = seal(event, topic=settings.topics[event.topic], stamp=stamp)
    record = _record(envelope.topic, 0, envelope.key, envelope.headers, envelope.value)
    _handle([_opened(record, table)], table)
    return stamp.id


def _handle(arrived: Sequence[Incoming], routes: Routes) -> None:
    group = Group(name=EventsSettings.current().group, routes=routes)
    first = {one.identity: one for one in reversed(arrived)}
    try:
        with transaction.atomic(), collecting() as collected:
            new = store.receive(group=group.name, event_ids=first)
            events = [one for one in arrived if one is first[one.identity] and one.identity in new]
            deliveries = deliver_new(events, group, collected, known=None, vouched=True)
            if deliveries.behind:
                raise Undeliverable(f"{deliveries.behind[0].queue} waits behind a parked delivery")
            collected.write()
            store.check_constraints()
    except Undone as undone:  # each error keeps its own cause
        raise undone.failed.error from undone.failed.error.__cause__
    except PartAway as away:
        raise away.away.error from away.away.error.__cause__


def _opened(record: Record, routes: Routes) -> Incoming:
    opened = open_record(record, routes)
    if isinstance(opened, Unreadable):
        raise Undeliverable(f"would become a dead letter: {opened.reason}: {record.value!r}")
    if isinstance(opened, Unknown):
        raise Undeliverable(f"{dict(record.headers)['ce_type'].decode()} has no entry in the routes")
    return opened


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
    records = OutboxRecord.objects.filter(id__gt=last_id).exclude(topic__endswith=DEAD_LETTERS)
    return list(records.order_by("id"))
