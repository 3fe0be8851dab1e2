"""Event to envelope and back: the only CloudEvents code (1.0, Kafka binary mode).

`outbox.publish` seals an event into the exact key, headers and bytes that Kafka will carry; the consumer
opens what arrives. Pure: no settings, no database, no clock.
Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from events.event import Event

Headers = Sequence[tuple[str, bytes]]


class UnreadableEnvelope(Exception):
    """A Kafka record that is no event in our form; the message says which part, never the content."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who caused a change: `kind` is `user`, `staff` or `system`; `id` is empty for the system."""

    kind: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event as Kafka carries it, before it has a place there."""

    topic: str
    key: str
    headers: Headers
    value: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """What the headers of one record say, checked; the data is still bytes."""

    id: UUID
    source: str
    type: str
    schema_version: int
    time: datetime
    traceparent: str | None
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Stamp:
    """What an event is sealed with beside its own data."""

    id: UUID
    source: str
    time: datetime
    traceparent: str
    actor: Actor | None = None


def seal(event: Event, *, topic: str, stamp: Stamp) -> Envelope:
    """The envelope of `event`: data as JSON, everything else in headers."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(stamp.id),
        "ce_source": stamp.source,
        "ce_type": event.type,
        "ce_subject": event.key,
        "ce_time": stamp.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "ce_dataschema": f"{stamp.source}/schemas/{event.type}/{event.schema_version}",
        "content-type": "application/json",
        "traceparent": stamp.traceparent,
    }
    if stamp.actor:
        headers["ce_authtype"] = stamp.actor.kind
        if stamp.actor.id:
            headers["ce_authid"] = stamp.actor.id
    encoded = tuple((name, value.encode()) for name, value in headers.items())
    return Envelope(topic=topic, key=event.key, headers=encoded, value=event.to_json())


def open_envelope(*, key: bytes | None, headers: Headers, value: bytes | None) -> Received:
    """Check the headers of a record from Kafka. Raises UnreadableEnvelope, naming the part."""
    texts = _texts(headers)
    subject = _required(texts, "ce_subject")
    if key != subject.encode():
        raise UnreadableEnvelope("the record key is not ce_subject")
    if value is None:
        raise UnreadableEnvelope("the record has no value")
    return Received(
        id=_event_id(_required(texts, "ce_id")),
        source=_required(texts, "ce_source"),
        type=_required(texts, "ce_type"),
        schema_version=_schema_version(_required(texts, "ce_dataschema")),
        time=_time(_required(texts, "ce_time")),
        traceparent=texts.get("traceparent"),
        key=subject,
        value=value,
    )


def _texts(headers: Headers) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, value in headers:
        if name in texts:
            raise UnreadableEnvelope(f"header {name[:64]} stands twice")
        try:
            texts[name] = value.decode()
        except (UnicodeDecodeError, AttributeError):
            raise UnreadableEnvelope(f"header {name[:64]} is not UTF-8 text") from None
    if texts.get("ce_specversion") != "1.0":
        raise UnreadableEnvelope("ce_specversion is not 1.0")
    return texts


def _required(texts: dict[str, str], name: str) -> str:
    text = texts.get(name)
    if not text:
        raise UnreadableEnvelope(f"header {name} is missing")
    return text


def _event_id(text: str) -> UUID:
    # Version 7 alone carries a time, which the inbox's retention needs.
    try:
        event_id = UUID(text)
    except ValueError:
        raise UnreadableEnvelope("ce_id is not a UUID") from None
    if event_id.version != 7:  # noqa: PLR2004 - UUIDv7, RFC 9562
        raise UnreadableEnvelope("ce_id is not a UUID of version 7")
    return event_id


def _schema_version(dataschema: str) -> int:
    last = dataschema.rsplit("/", 1)[-1]
    if not (last.isascii() and last.isdigit() and len(last) < 6):  # noqa: PLR2004 - no version has six digits
        raise UnreadableEnvelope("ce_dataschema does not end in a version")
    return int(last)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UnreadableEnvelope("ce_time is not RFC 3339") from None
    if time.tzinfo is None:
        raise UnreadableEnvelope("ce_time has no time zone")
    return time
