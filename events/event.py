"""The base of every event class: a typed, versioned fact about one key.

An app declares its facts as subclasses (see `accounts/event_types.py`); `envelope` turns one into what Kafka
carries and back. The JSON Schema of a class is generated from its members.
"""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

import msgspec

# Erasure replaces these members by null wherever a record is kept, so a reader must take null.
PersonalStr = Annotated[str | None, msgspec.Meta(extra_json_schema={"x-personal": True})]

# A moment: RFC 3339 with its offset on the wire, so that no reader has to guess.
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One fact, past tense. Members are the data on the wire; unknown ones are ignored when read.

    Class attributes: `type` is its name on the wire; `schema_version` counts breaking changes of the data;
    `topic` is a key of EVENTS["TOPICS"]; `stream`, where set, names the table whose row change this
    event announces (the row's triggers look for it), and then `stream_version` must be given.
    """

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1
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
    def from_json(cls, value: bytes) -> Self:
        """Read data back. Raises msgspec.ValidationError or msgspec.DecodeError."""
        return msgspec.json.decode(value, type=cls)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """JSON Schema 2020-12 of the data; personal members carry `x-personal`."""
        schema = msgspec.json.schema(cls)
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": cls.type, **schema}
