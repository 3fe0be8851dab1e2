"""The AsyncAPI 3.0 document of a project's events: topics, messages, headers, keys, who sends and who receives.

`manage.py schemas --asyncapi PATH` writes it from the event classes, the routes and the topics. Nothing of it depends
on where it is written: topics carry the names they have unless an installation chooses others.
Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from events.conf import DEAD_LETTERS
from events.envelope import Stamp, seal
from events.event import Event, unindented
from events.routing import Routes

Json = dict[str, Any]

KAFKA_BINDING = "0.5.0"
# No class can have these names: they hold a space where the classes' schemas stand.
HEADERS = "event-headers"
DEAD_LETTER = "dead-letter"

ABOUT = """\
Facts in the past tense, each a Kafka record in CloudEvents 1.0 binary mode: the value is the JSON data, \
all else is in headers.

- The record key is what the event is about; records of one key are in order.
- An event may arrive more than once: `ce_id` is the same each time, so take each id once.
- `ce_dataschema` ends in the version of the data. Within one version only optional members are added: \
ignore those that you do not know. A change that breaks readers takes the next version.
- Members marked `x-personal` are null once the person is erased.
- No record is without a value: that something is gone is an event, too. Topics forget by their retention."""

_RELAYED = "By the relay, out of the outbox, in the order of each key."
_HANDLED = "By the consumer group; each handler of the event gets it."
_GIVEN_UP = "By the relay, for the consumer group that gave it up. Nothing here reads it again."

_DEAD_KEY = {"type": "string", "description": "The record's own, or the event's id where it had none that is text."}

_SAMPLE_ID = UUID("01920f3e-7b1a-7cc3-98c4-dc0c0c07398f")
_SAMPLE_STAMP = Stamp(
    id=_SAMPLE_ID,
    source="https://users.example",
    time=datetime(2026, 1, 31, 12, 0, 0, 125_000, tzinfo=UTC),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
_SAMPLE_STRINGS = {"uuid": str(_SAMPLE_ID), "date-time": "2026-01-31T12:00:00Z", "date": "2026-01-31"}


@dataclass(frozen=True, slots=True)
class _Topic:
    """A key of EVENTS["TOPICS"] with its name and its classes."""

    key: str
    name: str
    sent: list[type[Event]]
    received: list[type[Event]]


def document(events: Iterable[type[Event]], routes: Routes, topics: Mapping[str, str]) -> Json:
    """The whole document; `topics`: each key of EVENTS["TOPICS"] and its name. Classes of other topics are left out."""
    known = sorted((event for event in events if event.topic in topics), key=lambda event: event.type)
    laid_out = [
        _Topic(key, name, sent, [event for event in sent if routes.handlers_of(event.type)])
        for key, name in sorted(topics.items())
        for sent in [[event for event in known if event.topic == key]]
    ]
    _, schemas = unindented(msgspec.json.schema_components(known, ref_template="#/components/schemas/{name}"))
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Events", "version": "1", "description": ABOUT},
        "defaultContentType": "application/json",
        "channels": {key: channel for topic in laid_out for key, channel in _channels(topic)},
        "operations": {key: operation for topic in laid_out for key, operation in _operations(topic)},
        "components": {
            "messages": {event.type: _message(event) for event in known} | {DEAD_LETTER: _dead_letter()},
            "schemas": {HEADERS: _headers(), **dict(sorted(schemas.items()))},
        },
    }


def _channels(topic: _Topic) -> Iterator[tuple[str, Json]]:
    messages = {event.type: {"$ref": f"#/components/messages/{event.type}"} for event in topic.sent}
    reserved = {} if messages else {"description": "Reserved: no event goes there yet."}
    yield topic.key, {"address": topic.name, **reserved, "messages": messages}
    yield (
        topic.key + DEAD_LETTERS,
        {
            "address": topic.name + DEAD_LETTERS,
            "description": f"What a consumer of {topic.name} gave up, for operators.",
            "messages": {DEAD_LETTER: {"$ref": f"#/components/messages/{DEAD_LETTER}"}},
        },
    )


def _operations(topic: _Topic) -> Iterator[tuple[str, Json]]:
    if topic.sent:
        yield f"send_{topic.key}", _operation("send", topic.key, [event.type for event in topic.sent], _RELAYED)
    if topic.received:
        received = [event.type for event in topic.received]
        yield f"receive_{topic.key}", _operation("receive", topic.key, received, _HANDLED)
        dead = topic.key + DEAD_LETTERS
        yield f"send_{dead}", _operation("send", dead, [DEAD_LETTER], _GIVEN_UP)


def _operation(action: str, channel: str, messages: list[str], summary: str) -> Json:
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _message(event: type[Event]) -> Json:
    version = "/schemas/" + event.type.replace(".", r"\.") + f"/{event.schema_version}$"
    own = {"ce_type": {"const": event.type}, "ce_dataschema": {"pattern": version}}
    return {
        "name": event.type,
        "title": event.__name__,
        "summary": _first_line(event),
        "contentType": "application/json",
        "headers": {"type": "object", "allOf": [{"$ref": f"#/components/schemas/{HEADERS}"}, {"properties": own}]},
        "payload": _payload(event),
        "bindings": {"kafka": {"key": _key(event), "bindingVersion": KAFKA_BINDING}},
        "examples": _examples(event),
    }


def _payload(event: type[Event]) -> Json:
    (reference,), _ = msgspec.json.schema_components([event], ref_template="#/components/schemas/{name}")
    return dict(reference)


def _first_line(documented: object) -> str:
    return (getattr(documented, "__doc__", None) or "").strip().partition("\n")[0]


def _key(event: type[Event]) -> Json:
    said = _first_line(event.key)
    return {"type": "string", **({"description": said} if said else {})}


def _dead_letter() -> Json:
    """What `inbox.dead_letters` copies."""
    ours: Json = {
        "dlq_group": {"description": "The consumer group that gave up."},
        "dlq_handler": {"description": "The handler that failed; empty where the whole record is meant."},
        "dlq_reason": {"description": "Why."},
        "dlq_event_id": {"format": "uuid", "description": "The event's id, or one made of the record's place."},
        "dlq_topic": {"description": "Where the record lay."},
        "dlq_partition": {"pattern": "^[0-9]+$"},
        "dlq_offset": {"pattern": "^[0-9]+$"},
        "dlq_attempts": {"pattern": "^[0-9]+$", "description": "How often the handler was tried."},
    }
    stub: Json = {"dlq_stub": {"const": "too-large", "description": "There where only these headers fit into Kafka."}}
    return {
        "name": DEAD_LETTER,
        "summary": "A record that a consumer gave up: its headers beside ours, and its value, which may be anything.",
        "contentType": "application/octet-stream",
        "headers": _texts(ours, stub),
        "payload": {},
        "bindings": {"kafka": {"key": _DEAD_KEY, "bindingVersion": KAFKA_BINDING}},
    }


def _headers() -> Json:
    """What `envelope.seal` writes; each value is UTF-8 text."""
    texts: Json = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"format": "uuid", "pattern": "^.{14}7", "description": "UUIDv7, the same at every repeat."},
        "ce_source": {"format": "uri-reference", "minLength": 1, "description": "Who published it."},
        "ce_type": {"description": "What happened."},
        "ce_subject": {"minLength": 1, "description": "The record key."},
        "ce_time": {"format": "date-time", "pattern": "Z$", "description": "When it happened, in UTC."},
        "ce_dataschema": {"format": "uri-reference", "description": "Ends in type and version of the data."},
        "content-type": {"const": "application/json"},
        "traceparent": {"pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$", "description": "W3C Trace Context."},
    }
    actor: Json = {
        "ce_authtype": {"description": "What kind of actor caused it: user, staff, system."},
        "ce_authid": {"minLength": 1, "description": "The actor's id, where there is one."},
    }
    return _texts(texts, actor)


def _texts(required: Json, optional: Json) -> Json:
    properties = {name: {"type": "string", **rest} for name, rest in (required | optional).items()}
    return {"type": "object", "properties": properties, "required": list(required)}


def _examples(event: type[Event]) -> list[Json]:
    """One event as it is sealed; none where made-up members do not pass the class's own limits."""
    schema = event.json_schema()
    try:
        made_up = msgspec.convert(_sample(schema, schema["$defs"]), event)
        envelope = seal(made_up, topic="", stamp=_SAMPLE_STAMP)
    except (msgspec.ValidationError, ValueError):
        return []
    headers = {name: value.decode() for name, value in envelope.headers}
    return [{"headers": headers, "payload": msgspec.json.decode(envelope.value)}]


def _sample(schema: Json, definitions: Json) -> Any:
    if "$ref" in schema:
        return _sample(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if "anyOf" in schema:
        return _sample(schema["anyOf"][0], definitions)
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        return {name: _sample(schema["properties"][name], definitions) for name in schema.get("required", ())}
    if "prefixItems" in schema:
        return [_sample(one, definitions) for one in schema["prefixItems"]]
    text = _SAMPLE_STRINGS.get(schema.get("format", ""), "text")
    return {"string": text, "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}.get(
        schema.get("type", "")
    )
