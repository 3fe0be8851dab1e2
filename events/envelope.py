"""Event to envelope and back: the only CloudEvents code (1.0, Kafka binary mode).

`outbox.publish` seals an event into the exact key, headers and bytes that Kafka will carry; the consumer
opens what arrives. Pure: no settings, no database, no clock.
Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

import msgspec

from events.event import Event

Headers = Sequence[tuple[str, bytes]]

# We write eleven headers of some 600 bytes; a tracer on the way may add its own, of which W3C Baggage may take 8 KiB.
HEADERS_MOST = 64
HEADER_BYTES_MOST = 16_384

_OURS = frozenset({
    "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_dataschema", "content-type",
    "traceparent", "ce_authtype", "ce_authid",
})  # fmt: skip
_UUID = msgspec.json.Decoder(UUID)  # several times faster than UUID() itself
_VERSION_AND_VARIANT = 0xF << 76 | 0b11 << 62
_UUID7 = 7 << 76 | 0b10 << 62  # RFC 9562, 5.7


class UnreadableEnvelope(Exception):
    """A Kafka record that is no event in our form.

    The message is a stable word, a colon and the part (`unreadable: header ce_id is missing`), never the content.
    """


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


class Received(msgspec.Struct, frozen=True, gc=False):
    """What the headers of one record say, checked; the data is still bytes. A Struct: made for each record read."""

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
    get = _by_name(headers).get
    source, event_type, version = _constants(
        get("ce_specversion"), get("content-type"), get("ce_source"), get("ce_type"), get("ce_dataschema")
    )
    subject, traceparent = get("ce_subject"), get("traceparent")
    if not subject:
        raise _unreadable("header ce_subject is missing")
    if key != subject:
        raise _unreadable("the record key is not ce_subject")
    if value is None:
        raise _unreadable("the record has no value")
    return Received(
        _event_id(get("ce_id")), source, event_type, version, _time(get("ce_time")),
        traceparent.decode() if traceparent else None, subject.decode(), value,
    )  # fmt: skip


def own_headers(headers: Headers, *, schema_version: int) -> Headers:
    """Of the headers of a record that could be opened those that are of our form, with this version of the data."""
    kept = dict(headers)
    before, slash, _ = kept["ce_dataschema"].rpartition(b"/")
    kept["ce_dataschema"] = b"%b%b%d" % (before, slash, schema_version)
    return tuple((name, value) for name, value in kept.items() if name in _OURS)


def ids_alone(headers: Headers, *, key: bytes | None, types: Collection[str]) -> Headers:
    """Of the headers of any record the event's id, its type if it is one of these, and its subject if it is the key."""
    given = dict(headers)
    found = {
        "ce_id": _is_uuid(given.get("ce_id")),
        "ce_type": given.get("ce_type") in {name.encode() for name in types},
        "ce_subject": given.get("ce_subject") == key,
    }
    return tuple((name, given[name]) for name, is_known in found.items() if is_known and name in given)


def traceparent_of(headers: Headers) -> str | None:
    """The trace of the change that published a record, whoever wrote its headers; None where there is none."""
    given = dict(headers).get("traceparent")
    return given.decode("ascii", "replace") if given else None


def _unreadable(part: str) -> UnreadableEnvelope:
    return UnreadableEnvelope(f"unreadable: {part}")


def _by_name(headers: Headers) -> dict[str, bytes]:
    """The headers, if they are few, small, UTF-8 text and each stands once. All are looked at in one go: most are."""
    if len(headers) > HEADERS_MOST:
        raise UnreadableEnvelope("too-large: number of headers")
    found = dict(headers)
    if len(found) < len(headers):
        raise _unreadable(f"{_first_double(headers)} stands twice")
    try:
        text = b"".join(found.values())
    except TypeError:
        raise _unreadable(f"{_first_not_text(headers)} is not UTF-8 text") from None
    if len(text) > HEADER_BYTES_MOST or not (_OURS.issuperset(found) or len("".join(found)) <= HEADER_BYTES_MOST):
        raise UnreadableEnvelope("too-large: headers")
    if not text.isascii() and (name := _first_not_text(headers)):
        raise _unreadable(f"{name} is not UTF-8 text")
    return found


def _first_double(headers: Headers) -> str:
    names = [name for name, _ in headers]
    return next(_told(name) for at, name in enumerate(names) if name in names[:at])


def _first_not_text(headers: Headers) -> str | None:
    for name, value in headers:
        try:
            value.decode()
        except (UnicodeDecodeError, AttributeError):
            return _told(name)
    return None


def _told(name: str) -> str:
    # A stranger may give any name: it goes into the log and before an operator's eyes.
    return "header " + "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name[:64])


@lru_cache(maxsize=256)
def _constants(
    specversion: bytes | None,
    content_type: bytes | None,
    source: bytes | None,
    event_type: bytes | None,
    dataschema: bytes | None,
) -> tuple[str, str, int]:
    """Source, type and version: one answer for all events of a type. What is remembered has passed the limits above."""
    if specversion != b"1.0":
        raise _unreadable("ce_specversion is not 1.0")
    # Without one it is JSON (CloudEvents 1.0, 3.1.1).
    if content_type is not None and content_type.split(b";")[0].strip().lower() != b"application/json":
        raise _unreadable("content-type is not application/json")
    return (
        _required(source, "ce_source"),
        _required(event_type, "ce_type"),
        _schema_version(_required(dataschema, "ce_dataschema")),
    )


def _required(value: bytes | None, name: str) -> str:
    if not value:
        raise _unreadable(f"header {name} is missing")
    return value.decode()


def _event_id(value: bytes | None) -> UUID:
    # Version 7 alone carries a time, which the inbox's retention needs.
    if not value:
        raise _unreadable("header ce_id is missing")
    try:
        event_id = _UUID.decode(b'"%b"' % value)
    except msgspec.DecodeError:
        raise _unreadable("ce_id is not a UUID") from None
    if event_id.int & _VERSION_AND_VARIANT != _UUID7:
        raise _unreadable("ce_id is not a UUID of version 7")
    return event_id


def _schema_version(dataschema: str) -> int:
    last = dataschema.rsplit("/", 1)[-1]
    if not (last.isascii() and last.isdigit() and len(last) < 6):  # noqa: PLR2004 - no version has six digits
        raise _unreadable("ce_dataschema does not end in a version")
    return int(last)


def _is_uuid(value: bytes | None) -> bool:
    try:
        _UUID.decode(b'"%b"' % (value or b""))
    except ValueError:
        return False
    return True


def _time(value: bytes | None) -> datetime:
    try:
        time = datetime.fromisoformat(_required(value, "ce_time"))
    except ValueError:
        raise _unreadable("ce_time is not RFC 3339") from None
    if time.tzinfo is None:
        raise _unreadable("ce_time has no time zone")
    return time
