"""One record from Kafka opened: an event with its handlers, a type that is not known, or nothing that can be read.

`batch` opens each record that a poll brought; `dead_letters` opens one again when it is replayed. Pure: what is wrong
with a record is told as a value, never raised.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from events.envelope import Received, UnreadableEnvelope, open_envelope
from events.event import Event
from events.kafka import Record
from events.routing import Route, Routes
from events.trace import is_valid, new_traceparent

VALUE_BYTES_MOST = 1_000_000  # no larger one was ever published by us


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record that holds an event we know, with the handlers it goes to."""

    record: Record
    received: Received
    event: Event
    routes: Sequence[Route]
    trace: str

    @property
    def identity(self) -> UUID:
        """The event's id."""
        return self.received.id


@dataclass(frozen=True, slots=True)
class Unknown:
    """A record whose type this version does not know: skipped."""

    record: Record


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that no later attempt could read either; `reason` is a stable word, a colon and the part."""

    record: Record
    reason: str

    @property
    def identity(self) -> UUID:
        """By its place."""
        return uuid5(
            UUID(int=5), f"{self.record.topic}/{self.record.partition}/{self.record.offset}/{self.record.timestamp_ms}"
        )


Opened = Incoming | Unknown | Unreadable


def open_record(record: Record, routes: Routes) -> Opened:
    """Read a record from Kafka as far as this version can."""
    if record.value is not None and len(record.value) > VALUE_BYTES_MOST:
        return Unreadable(record, "too-large: value")
    try:
        received = open_envelope(key=record.key, headers=record.headers, value=record.value)
    except UnreadableEnvelope as error:
        return Unreadable(record, f"unreadable: {error}")
    event_class = routes.classes.get(received.type)
    if event_class is None:
        return Unknown(record)
    if received.schema_version != event_class.schema_version:
        return Unreadable(record, f"version-unknown: {received.schema_version}")
    return _read(record, received, event_class, routes)


def _read(record: Record, received: Received, event_class: type[Event], routes: Routes) -> Opened:
    try:
        event = event_class.from_json(received.value)
    except RecursionError:
        return Unreadable(record, "data-invalid: nested too deep")
    except ValueError:  # msgspec's own errors are ValueErrors, as is text that is not UTF-8
        return Unreadable(record, "data-invalid: value")
    given = received.traceparent
    trace = given if given and is_valid(given) else new_traceparent()
    return Incoming(record, received, event, routes.handlers_of(received.type), trace)
