"""What changes of a published JSON Schema its readers survive. Pure; `files` asks it before a schema is written anew.

One `schema_version` has many readers and writers at once: today's class reads what its predecessors left in topics,
outbox and dead letters, and a consumer that is not upgraded yet, or belongs to another team, reads what today's class
writes. Each must take all that the others write. So within one version a published member stays as it is, and only
optional members are added; everything else takes the next version and an upcaster.

Told, at any depth (structs, lists, tuples, maps, unions): a member removed, or added as required; a type, format, enum,
limit or default changed, wider as well as narrower (an old reader does not take the wider one, a new reader does not
take what the narrower one left out); required made optional, or optional required; a personal mark lost, since erasure
goes by it. Not told: titles, descriptions, examples and the names of Python classes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

Schema = Mapping[str, Any]

PERSONAL = "x-personal"
# Compared one by one below, or nothing that a reader of the data meets.
_NO_LIMIT = frozenset({
    "$schema", "$defs", "$ref", "$comment", "title", "description", "examples", "deprecated", "discriminator",
    "default", "type", "format", "enum", "properties", "required", "prefixItems",
})  # fmt: skip
_PARTS = {"items": "[]", "additionalProperties": "{}"}
_ABSENT = object()


def breakages(published: Schema, now: Schema) -> list[str]:
    """What readers would not survive, each with its member's path; empty when `now` may have the same version."""
    place = _Place(published.get("$defs", {}), now.get("$defs", {}))
    return list(_compare(published, now, place))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in both schemas a comparison is, and which references led there (a type may contain itself)."""

    published: Schema
    now: Schema
    path: str = ""
    within: frozenset[tuple[str | None, str | None]] = frozenset()

    def __str__(self) -> str:
        return self.path or "the data"

    def at(self, step: str) -> "_Place":
        dot = "." if self.path and step[0] not in "[{" else ""
        return replace(self, path=f"{self.path}{dot}{step}")


def _compare(old: Schema, new: Schema, place: _Place) -> Iterator[str]:
    pair = (old.get("$ref"), new.get("$ref"))
    if pair in place.within:
        return
    if any(pair):
        place = replace(place, within=place.within | {pair})
    old, new = _followed(old, place.published), _followed(new, place.now)
    yield from _lost_meaning(old, new, place)
    if "anyOf" in old or "anyOf" in new:
        yield from _unions(old, new, place)
    elif _kind(old, place.published) != _kind(new, place.now):
        yield _changed(old, new, place)
    else:
        yield from _limits(old, new, place)
        yield from _members(old, new, place)
        yield from _parts(old, new, place)


def _followed(schema: Schema, definitions: Schema) -> Schema:
    while "$ref" in schema:
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**definitions[schema["$ref"].rsplit("/", 1)[-1]], **beside}
    return schema


def _lost_meaning(old: Schema, new: Schema, place: _Place) -> Iterator[str]:
    if old.get(PERSONAL) and not new.get(PERSONAL):
        yield f"{place}: is no longer marked as personal"
    both = "default" in old and "default" in new
    if both and _json(old["default"]) != _json(new["default"]):
        yield f"{place}: a record without it meant {_json(old['default'])} and would mean {_json(new['default'])}"


def _unions(old: Schema, new: Schema, place: _Place) -> Iterator[str]:
    left = list(new.get("anyOf", [new]))
    lost = []
    for one in old.get("anyOf", [old]):
        same = next((other for other in left if not any(_compare(one, other, place))), None)
        if same is None:
            lost.append(one)
        else:
            left.remove(same)
    # One that differs inside: tell what, not only that it does.
    if len(lost) == len(left) == 1 and _kind(lost[0], place.published) == _kind(left[0], place.now):
        yield from _compare(lost[0], left[0], place)
    elif lost or left:
        yield _changed(old, new, place)


def _changed(old: Schema, new: Schema, place: _Place) -> str:
    return f"{place}: was {_kind(old, place.published)} and is {_kind(new, place.now)}"


def _kind(schema: Schema, definitions: Schema) -> str:
    schema = _followed(schema, definitions)
    if "anyOf" in schema:
        return " or ".join(sorted(_kind(one, definitions) for one in schema["anyOf"]))
    if "enum" in schema:
        return "one of " + ", ".join(sorted(map(_json, schema["enum"])))
    kind = str(schema.get("type", "anything"))
    return f"{kind} ({schema['format']})" if "format" in schema else kind


def _limits(old: Schema, new: Schema, place: _Place) -> Iterator[str]:
    for name in sorted((old.keys() | new.keys()) - _NO_LIMIT):
        before, after = old.get(name, _ABSENT), new.get(name, _ABSENT)
        is_compared_inside = name in _PARTS and isinstance(before, Mapping) and isinstance(after, Mapping)
        if not (name.startswith("x-") or is_compared_inside or _json(before) == _json(after)):
            yield f"{place}: {name} was {_json(before)} and is {_json(after)}"


def _members(old: Schema, new: Schema, place: _Place) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    needed_before, needed = set(old.get("required", ())), set(new.get("required", ()))
    for name, member in before.items():
        if name not in after:
            yield f"{place.at(name)}: is gone"
            continue
        if (name in needed) != (name in needed_before):
            yield f"{place.at(name)}: was {_need(name, needed_before)} and is {_need(name, needed)}"
        yield from _compare(member, after[name], place.at(name))
    yield from (f"{place.at(name)}: is new and required" for name in after if name not in before and name in needed)


def _need(name: str, needed: Iterable[str]) -> str:
    return "required" if name in needed else "optional"


def _parts(old: Schema, new: Schema, place: _Place) -> Iterator[str]:
    """Of lists, maps and tuples; where only one side has them, `_limits` has told."""
    for name, step in _PARTS.items():
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _compare(before, after, place.at(step))
    # As many on both sides: else minItems differs.
    for index, (before, after) in enumerate(zip(old.get("prefixItems", ()), new.get("prefixItems", ()), strict=False)):
        yield from _compare(before, after, place.at(f"[{index}]"))


def _json(value: Any) -> str:
    # As text, since 1, 1.0 and true are equal in Python and not in JSON.
    return "not there" if value is _ABSENT else json.dumps(value, ensure_ascii=False, sort_keys=True)
