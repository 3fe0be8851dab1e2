"""One record from Kafka opened: an event with its handlers, a type that is not known, or nothing that can be read.

`batch` opens each record that a poll brought; `retries` opens one again when its time has come. No settings, no
database: the record, the routes and the clock. What is wrong with a record is told as a value, never raised, and
costs little to find: sizes, number and depth are looked at before anything is read.
"""

import re
import time
from collections.abc import Sequence
from uuid import UUID, uuid5

import msgspec

from events.envelope import Received, UnreadableEnvelope, open_envelope
from events.event import Event, UnknownVersion, UpcasterFailed
from events.kafka import Record
from events.routing import Route, Routes
from events.trace import is_valid, new_traceparent

VALUE_BYTES_MOST = 1_000_000  # publish() refuses a larger one
KEY_BYTES_MOST = 1_000  # an index's row holds 2,700; ours have 36
DEPTH_MOST = 20  # our deepest event has 2 levels; reading goes one call deeper for each
# Room for clocks that go wrong. What is later still is no accident: the inbox would keep it for ever, and a
# projection would take nothing newer.
AHEAD_MOST_S = 86_400

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")
_NAMESPACE = UUID("955bc462-11ce-4b99-8a46-e13d290bbcd5")  # for ever: identities are stored


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """A record that holds an event we know, with the handlers it goes to. A Struct: one is made for each record."""

    record: Record
    received: Received
    event: Event
    routes: Sequence[Route]
    trace: str

    @property
    def identity(self) -> UUID:
        """The event's own id, whichever record brings it."""
        return self.received.id


class Unknown(msgspec.Struct, frozen=True):
    """A record whose type this version does not know: skipped."""

    record: Record
    cluster: str = ""

    @property
    def identity(self) -> UUID:
        """As of `identity_of`."""
        return identity_of(self.record, self.cluster)


class Unreadable(msgspec.Struct, frozen=True):
    """A record that no later attempt could read either; `reason` is a stable word, a colon and the part."""

    record: Record
    reason: str
    cluster: str = ""

    @property
    def identity(self) -> UUID:
        """As of `identity_of`."""
        return identity_of(self.record, self.cluster)


Opened = Incoming | Unknown | Unreadable


class _Refused(Exception):
    """The message is the reason."""


def open_record(record: Record, routes: Routes, cluster: str = "") -> Opened:
    """Read a record of this cluster (its id) as far as this version can."""
    try:
        received = _open(record)
        event_class = routes.classes.get(received.type)
        if event_class is None:
            return Unknown(record, cluster)
        event = _read(received, event_class)
    except (UnreadableEnvelope, _Refused) as error:
        return Unreadable(record, str(error), cluster)
    given = received.traceparent
    trace = given if given and is_valid(given) else new_traceparent()
    return Incoming(record, received, event, routes.handlers_of(received.type), trace)


def identity_of(record: Record, cluster: str) -> UUID:
    """The same UUIDv5 each time this record is read, and no other record's, be its topic made anew.

    The parts stay apart: no topic's name has a slash.
    """
    return uuid5(
        _NAMESPACE, f"{cluster}/{record.topic}/{record.partition}/{record.offset}/{record.timestamp_ms}"
    )  # fmt: skip


def _open(record: Record) -> Received:
    if record.flaw:
        raise _Refused(record.flaw)
    if record.value is not None and len(record.value) > VALUE_BYTES_MOST:
        raise _Refused("too-large: value")
    if record.key is not None and len(record.key) > KEY_BYTES_MOST:
        raise _Refused("too-large: key")
    received = open_envelope(key=record.key, headers=record.headers, value=record.value)
    most_s = time.time() + AHEAD_MOST_S
    if not 0 <= received.time.timestamp() <= most_s:
        raise _Refused("unreadable: ce_time is not of our days")
    if (received.id.int >> 80) > most_s * 1000:
        raise _Refused("unreadable: ce_id is ahead of time")
    return received


def _read(received: Received, event_class: type[Event]) -> Event:
    value = received.value
    # In most there are not even so many brackets.
    if value.count(b"{") + value.count(b"[") > DEPTH_MOST and _is_deep(value):
        raise _Refused("data-invalid: nested too deep")
    if b"\\" in value and _NUL.search(value):
        raise _Refused("data-invalid: NUL")  # PostgreSQL has no place for it
    try:
        event = event_class.from_json(value, version=received.schema_version)
    except UnknownVersion:
        raise _Refused(f"version-unknown: {received.schema_version}") from None
    except UpcasterFailed as error:
        raise _Refused(f"data-invalid: {error}") from None
    except ValueError:  # msgspec's own errors are ValueErrors, as is text that is not UTF-8
        raise _Refused("data-invalid: value") from None
    try:
        is_its_own = event.key == received.key
    except Exception:  # noqa: BLE001 - the project's own property, on data that nobody has looked at
        raise _Refused("data-invalid: key") from None
    if not is_its_own:
        raise _Refused("unreadable: the record key is not the event's")
    return event


def _is_deep(value: bytes) -> bool:
    """Whether brackets nest deeper than we read; in a string they are text."""
    depth = 0
    for bracket in _STRINGS.sub(b"", value).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH_MOST:
            return True
    return False
