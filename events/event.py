"""The base of every event class: a typed, versioned fact about one key.

An app declares its facts as subclasses (see `accounts/event_types.py`); `envelope` turns one into what Kafka
carries and back. The JSON Schema of a class is generated from its members.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from inspect import cleandoc
from typing import Annotated, Any, ClassVar, Self

import msgspec

from events import personal
from events.errors import EventsError

# Erasure replaces these members by null wherever a record is kept, so a reader must take null.
PersonalStr = Annotated[str | None, msgspec.Meta(extra_json_schema={personal.PERSONAL: True})]

# A moment: RFC 3339 with its offset on the wire, so that no reader has to guess.
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


# From the members of one version to those of the next; pure.
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class UnknownVersion(EventsError):
    """Data of a version that this class cannot read: later than its own, or with no upcaster on the way to it."""


class UpcasterFailed(EventsError):
    """An upcaster raised; the message says which and what kind of error, never the content."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One fact, past tense. Members are the data on the wire; unknown ones are ignored when read.

    Class attributes: `type` is its name on the wire; `schema_version` counts breaking changes of the data;
    `topic` is a key of EVENTS["TOPICS"]; `stream`, where set, names the table whose row change this
    event announces (the row's triggers look for it), and then `stream_version` must be given.
    `upcasters` lift old data: the one under n turns the members of version n into those of n + 1; the key must stay.
    """

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1
    upcasters: ClassVar[Mapping[int, Upcaster]] = {}
    topic: ClassVar[str]
    stream: ClassVar[str | None] = None

    @property
    def key(self) -> str:
        """The Kafka record key: events of one key stay in order."""
        raise NotImplementedError

    @property
    def stream_version(self) -> int | None:
        """The row's version after the change that this event announces."""
        return None

    def to_json(self) -> bytes:
        """The data as it goes to Kafka."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, value: bytes, *, version: int | None = None) -> Self:
        """Read data of `version` (None: the class's own) back.

        Raises UnknownVersion, UpcasterFailed, or ValueError: msgspec.ValidationError, msgspec.DecodeError, no UTF-8.
        """
        if version is not None and version != cls.schema_version:
            value = cls._lifted(value, version)
        return msgspec.json.decode(value, type=cls)

    @classmethod
    def without_personal(cls, value: bytes, *, version: int | None = None) -> bytes:
        """Data of `version` (None: the class's own) with null for each member that is marked: data of the class's own.

        An old version's marks are forgotten, and its members may have other names now: its data is lifted, and of what
        this class does not know nothing is kept. Of the class's own version unknown members stay as they are. Raises
        as `from_json`.
        """
        event = cls.from_json(value, version=version)
        if version is not None and version != cls.schema_version:
            value = event.to_json()
        return personal.without_personal(value, _schema(cls))

    @classmethod
    def _lifted(cls, value: bytes, version: int) -> bytes:
        steps = range(version, cls.schema_version)
        if not steps or any(step not in cls.upcasters for step in steps):
            raise UnknownVersion(f"{cls.type} of version {version}")
        members = msgspec.json.decode(value, type=dict[str, Any])
        try:
            for step in steps:
                members = cls.upcasters[step](members)
            return msgspec.json.encode(members)
        except Exception as error:
            raise UpcasterFailed(f"upcaster of version {step}, {type(error).__name__}") from error

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """JSON Schema 2020-12 of the data; personal members carry `x-personal`."""
        schema = unindented(msgspec.json.schema(cls))
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": cls.type, **schema}


def unindented(schema: Any) -> Any:
    """The schema with its descriptions, which are docstrings, as every Python has them: those before 3.13 indent."""
    if isinstance(schema, dict):
        return {
            name: cleandoc(part) if name == "description" and isinstance(part, str) else unindented(part)
            for name, part in schema.items()
        }
    return list(map(unindented, schema)) if isinstance(schema, list | tuple) else schema


@cache
def _schema(event: type[Event]) -> dict[str, Any]:
    return event.json_schema()
