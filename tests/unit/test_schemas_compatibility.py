"""Which changes of a published schema are told, which are let through, and that what is let through can be read."""

from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from events.event import Instant, PersonalStr
from events.schemas.compatibility import breakages

Member = tuple[str, Any] | tuple[str, Any, Any]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Place(msgspec.Struct):
    street: str


class PlaceWithHint(msgspec.Struct):
    street: str
    hint: str = ""


class PlaceWithCode(msgspec.Struct):
    street: str
    code: str


class Tree(msgspec.Struct):
    children: "list[Tree]"


class GrownTree(msgspec.Struct):
    children: "list[GrownTree]"
    height: int = 0


class FelledTree(msgspec.Struct):
    children: "list[FelledTree | None]"


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    street: str


NAME: Member = ("name", str)
HOME = Annotated[Place, msgspec.Meta(extra_json_schema={"x-personal": True})]
LONG = Annotated[str, msgspec.Meta(min_length=1)]


def schema(*members: Member) -> dict[str, Any]:
    return msgspec.json.schema(msgspec.defstruct("Thing", list(members), kw_only=True))


LET_THROUGH = {
    "nothing": ([NAME], [NAME]),
    "an optional member": ([NAME], [NAME, ("note", str, "")]),
    "an optional member in a struct": ([("at", Place)], [("at", PlaceWithHint)]),
    "an optional member in a struct that may be null": ([("at", Place | None)], [("at", PlaceWithHint | None)]),
    "an optional member in a list's struct": ([("at", list[Place])], [("at", list[PlaceWithHint])]),
    "an optional member in a map's struct": ([("at", dict[str, Place])], [("at", dict[str, PlaceWithHint])]),
    "an optional member in a struct that contains itself": ([("tree", Tree)], [("tree", GrownTree)]),
    "another order of members": ([NAME, ("count", int)], [("count", int), NAME]),
    "another order of choices": ([("way", Literal["a", "b"])], [("way", Literal["b", "a"])]),
    "another order of a union": ([("way", int | str)], [("way", str | int)]),
    "another Python class of one form": ([("way", Colour)], [("way", Literal["red", "blue"])]),
    "other words": ([NAME], [("name", Annotated[str, msgspec.Meta(description="Its name", examples=["x"])])]),
    "a new personal mark": ([("ip", str | None)], [("ip", PersonalStr)]),
}

TOLD = {
    "removed": ([NAME, ("count", int)], [NAME], ["count: is gone"]),
    "an optional one removed": ([NAME, ("note", str, "")], [NAME], ["note: is gone"]),
    "renamed": ([NAME], [("title", str)], ["name: is gone", "title: is new and required"]),
    "a new required one": ([NAME], [NAME, ("count", int)], ["count: is new and required"]),
    "made required": ([("note", str, "")], [("note", str)], ["note: was optional and is required"]),
    "made optional": ([NAME], [("name", str, "")], ["name: was required and is optional"]),
    "retyped": ([NAME], [("name", int)], ["name: was string and is integer"]),
    "integer to number": ([("count", int)], [("count", float)], ["count: was integer and is number"]),
    "made nullable": ([NAME], [("name", str | None)], ["name: was string and is null or string"]),
    "no longer nullable": ([("name", str | None)], [NAME], ["name: was null or string and is string"]),
    "one kind more": (
        [("x", int | str)], [("x", int | str | None)], ["x: was integer or string and is integer or null or string"],
    ),
    "a choice more": ([("x", Literal["a"])], [("x", Literal["a", "b"])], ['x: was one of "a" and is one of "a", "b"']),
    "a choice less": ([("x", Colour)], [("x", Literal["red"])], ['x: was one of "blue", "red" and is one of "red"']),
    "any text to choices": ([NAME], [("name", Colour)], ['name: was string and is one of "blue", "red"']),
    "a format": ([("id", str)], [("id", UUID)], ["id: was string and is string (uuid)"]),
    "no format": ([("at", Instant)], [("at", str)], ["at: was string (date-time) and is string"]),
    "another format": ([("at", Instant)], [("at", UUID)], ["at: was string (date-time) and is string (uuid)"]),
    "a limit": ([NAME], [("name", LONG)], ["name: minLength was not there and is 1"]),
    "no limit": ([("name", LONG)], [NAME], ["name: minLength was 1 and is not there"]),
    "a default": ([("n", int, 1)], [("n", int, 2)], ["n: a record without it meant 1 and would mean 2"]),
    "a default of another kind": (
        [("n", Any, 1)], [("n", Any, True)], ["n: a record without it meant 1 and would mean true"],
    ),
    "a default of a choice": (
        [("x", Colour, Colour.RED)],
        [("x", Colour, Colour.BLUE)],
        ['x: a record without it meant "red" and would mean "blue"'],
    ),
    "no personal mark on a struct": ([("at", HOME)], [("at", Place)], ["at: is no longer marked as personal"]),
    "no personal mark": ([("ip", PersonalStr)], [("ip", str | None)], ["ip: is no longer marked as personal"]),
    "anything to something": ([("x", Any)], [("x", str)], ["x: was anything and is string"]),
    "a struct's member": ([("at", PlaceWithCode)], [("at", Place)], ["at.code: is gone"]),
    "a nullable struct's member": (
        [("at", Place | None)], [("at", PlaceWithCode | None)], ["at.code: is new and required"],
    ),
    "a struct closed": ([("at", Place)], [("at", Closed)], ["at: additionalProperties was not there and is false"]),
    "items": ([("ids", list[str])], [("ids", list[int])], ["ids[]: was string and is integer"]),
    "items' members": ([("at", list[PlaceWithCode])], [("at", list[Place])], ["at[].code: is gone"]),
    "a map's values": ([("n", dict[str, int])], [("n", dict[str, str])], ["n{}: was integer and is string"]),
    "a tuple's part": ([("p", tuple[int, str])], [("p", tuple[int, int])], ["p[1]: was string and is integer"]),
    "a type that contains itself": (
        [("tree", Tree)], [("tree", FelledTree)], ["tree.children[]: was object and is null or object"],
    ),
    "a list to one": ([("ids", list[str])], [("ids", str)], ["ids: was array and is string"]),
}  # fmt: skip


@pytest.mark.parametrize(("published", "now"), LET_THROUGH.values(), ids=LET_THROUGH)
def test_a_change_that_every_reader_survives_keeps_the_version(published: list[Member], now: list[Member]) -> None:
    assert breakages(schema(*published), schema(*now)) == []


@pytest.mark.parametrize(("published", "now", "told"), TOLD.values(), ids=TOLD)
def test_a_change_that_breaks_a_reader_is_told_by_its_member(
    published: list[Member], now: list[Member], told: list[str]
) -> None:
    assert breakages(schema(*published), schema(*now)) == told


def test_the_order_of_choices_in_a_file_is_nothing_to_a_reader() -> None:
    assert breakages({"enum": ["b", "a"]}, {"enum": ["a", "b"]}) == []


def test_a_longer_tuple_is_told() -> None:
    told = breakages(schema(("p", tuple[int, int])), schema(("p", tuple[int, int, int])))

    assert "p: minItems was 2 and is 3" in told


# ── whatever is let through can be read both ways, as another reader of JSON Schema judges ──────────

Schema = dict[str, Any]
NAMES = st.sampled_from(["a", "b", "c"])
LEAVES: st.SearchStrategy[Schema] = st.sampled_from([
    {"type": "string"}, {"type": "string", "minLength": 1}, {"type": "integer"}, {"type": "boolean"}, {"type": "null"},
    {"enum": ["x"]}, {"enum": ["x", "y"]}, {"enum": ["y", "x"]}, {},
])  # fmt: skip


def struct(members: dict[str, Schema]) -> st.SearchStrategy[Schema]:
    required = st.lists(st.sampled_from(sorted(members)), unique=True) if members else st.just([])
    return required.map(lambda names: {"type": "object", "properties": members, "required": names})


def larger(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return st.one_of(
        st.dictionaries(NAMES, inner, max_size=3).flatmap(struct),
        inner.map(lambda items: {"type": "array", "items": items}),
        inner.map(lambda values: {"type": "object", "additionalProperties": values}),
        st.lists(inner, min_size=2, max_size=3).map(lambda kinds: {"anyOf": kinds}),
    )


SCHEMAS = st.recursive(LEAVES, larger, max_leaves=6)
DATA = st.dictionaries(NAMES, SCHEMAS, min_size=1, max_size=3).flatmap(struct)


@st.composite
def changed(draw: st.DrawFn, old: Schema) -> Schema:
    """`old` with one change somewhere inside, or with one more member that may be optional."""
    inside = [name for name in ("items", "additionalProperties", "anyOf", "properties") if old.get(name)]
    if not inside or draw(st.integers(0, 4)) == 0:
        return draw(SCHEMAS)
    name = draw(st.sampled_from(inside))
    if name == "anyOf":
        kinds = draw(st.permutations(old["anyOf"]))
        return {**old, "anyOf": [draw(changed(kinds[0])), *kinds[1:]]}
    if name != "properties":
        return {**old, name: draw(changed(old[name]))}
    member = draw(NAMES)
    if member in old["properties"]:
        return {**old, "properties": old["properties"] | {member: draw(changed(old["properties"][member]))}}
    needed = draw(st.sampled_from([[], [], [member]]))
    return {**old, "properties": old["properties"] | {member: draw(LEAVES)}, "required": [*old["required"], *needed]}


def values(schema: Schema) -> st.SearchStrategy[Any]:
    if "anyOf" in schema:
        return st.one_of([values(kind) for kind in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "properties" in schema:
        members = {name: values(member) for name, member in schema["properties"].items()}
        needed = {name: member for name, member in members.items() if name in schema["required"]}
        return st.fixed_dictionaries(needed, optional={name: members[name] for name in members.keys() - needed})
    if "items" in schema:
        return st.lists(values(schema["items"]), max_size=2)
    if "additionalProperties" in schema:
        return st.dictionaries(NAMES, values(schema["additionalProperties"]), max_size=2)
    text = st.text(min_size=schema.get("minLength", 0), max_size=3)
    simple = {"string": text, "integer": st.integers(), "boolean": st.booleans(), "null": st.none()}
    return simple[schema["type"]] if "type" in schema else st.one_of(list(simple.values()))


@settings(max_examples=60)
@given(st.data())
def test_what_is_let_through_can_be_read_by_old_and_new(data: st.DataObject) -> None:
    old = data.draw(DATA, "published")
    new = data.draw(changed(old), "now")
    if breakages(old, new):
        return
    Draft202012Validator(new).validate(data.draw(values(old), "an old record"))
    Draft202012Validator(old).validate(data.draw(values(new), "a new record"))


@given(SCHEMAS)
def test_a_schema_may_always_stay_as_it_is(same: Schema) -> None:
    assert breakages(same, same) == []
