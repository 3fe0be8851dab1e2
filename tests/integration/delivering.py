"""Records of user.events as the relay sends them, or as a stranger may, and what the consumer's routes make of them."""

from uuid import UUID

from django.utils import timezone
from uuid_utils.compat import uuid7

from events.conf import EventsSettings
from events.envelope import Stamp, seal
from events.event import Event
from events.inbox.group import Group
from events.kafka import Record
from events.management.commands.consume_events import group_of
from events.models import OutboxRecord, ParkedDelivery
from events.outbox.store import decode_headers
from tests.integration.batching import TIMESTAMP_MS


def group() -> Group:
    """As the command builds it."""
    return group_of(EventsSettings.current())


def record_of(event: Event, *, event_id: UUID | None = None, source: str | None = None) -> Record:
    """What anybody may write who can reach the topic."""
    stamp = Stamp(
        id=event_id or uuid7(), source=source or EventsSettings.current().source, time=timezone.now(), traceparent=""
    )
    envelope = seal(event, topic="user.events", stamp=stamp)
    return Record("user.events", 0, 0, TIMESTAMP_MS, envelope.key.encode(), tuple(envelope.headers), envelope.value)


def published() -> list[Record]:
    """What the relay would send."""
    return [
        Record("user.events", 0, one.id, TIMESTAMP_MS, one.key.encode(),
               tuple(decode_headers(bytes(one.headers))), bytes(one.value))
        for one in OutboxRecord.objects.filter(topic="user.events").order_by("id")
    ]  # fmt: skip


def letters() -> list[tuple[str, str]]:
    """Handler and reason."""
    parked = ParkedDelivery.objects.filter(dead_at__isnull=False).order_by("id")
    return [(one.handler, one.reason) for one in parked]
