"""Taking what is marked as personal out of JSON data, by the JSON Schema of its type.

`event` asks it with the schema that it generates from a class: so a member's mark is all that erasure needs. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

PERSONAL = "x-personal"

Schema = Mapping[str, Any]

_NULL = msgspec.Raw(b"null")
_KINDS = {b"{": "object", b"[": "array"}


def without_personal(value: bytes, schema: Schema) -> bytes:
    """The data with null for each member that the schema marks, at any depth, and no spaces between members.

    It must fit the schema, which must be one of msgspec's. Absent members stay absent, and those that the schema does
    not know keep their bytes. A map whose names are marked is empty afterwards.
    """
    return bytes(_blanked(msgspec.Raw(value), schema, schema.get("$defs", {})))


def _blanked(raw: msgspec.Raw, schema: Schema, definitions: Schema) -> msgspec.Raw:
    schema = _own_schema(raw, schema, definitions)
    if schema.get(PERSONAL):
        return _NULL
    match _kind(raw):
        case "object":
            parts: Any = dict(_members(raw, schema, definitions))
        case "array":
            parts = list(_items(raw, schema, definitions))
        case _:
            return raw
    return msgspec.Raw(msgspec.json.encode(parts))


def _members(raw: msgspec.Raw, schema: Schema, definitions: Schema) -> Iterator[tuple[str, msgspec.Raw]]:
    if schema.get("propertyNames", {}).get(PERSONAL):
        return
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, member in _object(raw).items():
        yield name, _part(member, known.get(name, others), definitions)


def _items(raw: msgspec.Raw, schema: Schema, definitions: Schema) -> Iterator[msgspec.Raw]:
    first, others = schema.get("prefixItems", []), schema.get("items")
    for place, item in enumerate(_array(raw)):
        yield _part(item, first[place] if place < len(first) else others, definitions)


def _part(raw: msgspec.Raw, schema: Any, definitions: Schema) -> msgspec.Raw:
    # What the schema does not describe has none, or true, or false.
    return _blanked(raw, schema, definitions) if isinstance(schema, Mapping) else raw


def _own_schema(raw: msgspec.Raw, schema: Schema, definitions: Schema) -> Schema:
    """Without references and unions: of these the one that the data is of. One that has a mark is marked as a whole."""
    choices = list(_choices(schema, definitions))
    if len(choices) > 1:
        marked = [one for one in choices if one.get(PERSONAL)]
        choices = marked or [one for one in choices if _is_of(raw, one)]
    return choices[0] if choices else {}


def _choices(schema: Schema, definitions: Schema) -> Iterator[Schema]:
    if schema.get(PERSONAL):
        yield schema
    elif "$ref" in schema:
        yield from _choices(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    elif "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from _choices(one, definitions)
    else:
        yield schema


def _is_of(raw: msgspec.Raw, schema: Schema) -> bool:
    """A union has one kind of object, or several that differ in their tag, a member of one value; arrays likewise."""
    kind = _kind(raw)
    if kind is None or schema.get("type") != kind:
        return False
    if kind == "object":
        members = _object(raw)
        tagged = [(members[name], part) for name, part in schema.get("properties", {}).items() if name in members]
    else:
        tagged = list(zip(_array(raw), schema.get("prefixItems", []), strict=False))
    return all(msgspec.json.decode(tag) in part["enum"] for tag, part in tagged if "enum" in part)


def _kind(raw: msgspec.Raw) -> str | None:
    return _KINDS.get(bytes(raw).lstrip()[:1])


def _object(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    # Of a member that stands twice the last one counts; the first one goes.
    return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])


def _array(raw: msgspec.Raw) -> list[msgspec.Raw]:
    return msgspec.json.decode(raw, type=list[msgspec.Raw])
