"""Data without what its class marks as personal: wherever the mark stands, and nothing else."""

from typing import Annotated, Any, ClassVar

import msgspec
import pytest

from events.event import Event, PersonalStr, UnknownVersion, UpcasterFailed

Unset = msgspec.UnsetType
Marked = msgspec.Meta(extra_json_schema={"x-personal": True})


class Home(msgspec.Struct):
    town: str
    street: PersonalStr


class Changes(msgspec.Struct, omit_defaults=True):
    name: PersonalStr | Unset = msgspec.UNSET
    verified: bool | Unset = msgspec.UNSET
    home: Home | Unset | None = msgspec.UNSET


class Card(msgspec.Struct, tag="card"):
    number: PersonalStr
    bank: str = ""


class Cash(msgspec.Struct, tag="cash"):
    number: str  # of the till: nobody's


class Point(msgspec.Struct, array_like=True, tag=1):
    zone: int
    address: PersonalStr


class Area(msgspec.Struct, array_like=True, tag=2):
    name: str
    owner: str


class Person(msgspec.Struct):
    name: PersonalStr
    friends: "list[Person]" = []


class Told(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Every shape in which a member can stand."""

    type: ClassVar[str] = "test.told"
    topic: ClassVar[str] = "user_events"

    id: int = 0
    name: PersonalStr = None
    reason: PersonalStr = ""
    count: int | None = None
    anything: Any = None
    camel_case: PersonalStr = msgspec.field(default=None, name="camelCase")
    either: PersonalStr | int = None
    changes: Changes | None = None
    homes: list[Home] = []
    names: list[PersonalStr] = []
    pair: tuple[int, PersonalStr] | None = None
    by_day: dict[str, Home] = {}
    by_name: dict[Annotated[str, Marked], int] = {}
    whole: Annotated[Home | None, Marked] = None
    paid: Card | Cash | None = None
    place: Point | Area | None = None
    many: list[Card | Cash] | dict[str, PersonalStr] | int = 0
    person: Person | None = None

    @property
    def key(self) -> str:
        return str(self.id)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"id":1,"name":"Ann","count":2}', '{"id":1,"name":null,"count":2}'),
        ('{"reason":"a bore","camelCase":"x"}', '{"reason":null,"camelCase":null}'),
        ('{"either":"Ann"}', '{"either":null}'),
        ('{"either":7}', '{"either":null}'),
        ('{"changes":{"name":"Ann","verified":true}}', '{"changes":{"name":null,"verified":true}}'),
        (
            '{"changes":{"home":{"town":"Ulm","street":"B 1"}}}',
            '{"changes":{"home":{"town":"Ulm","street":null}}}',
        ),
        ('{"homes":[{"town":"Ulm","street":"B 1"}]}', '{"homes":[{"town":"Ulm","street":null}]}'),
        ('{"names":["Ann",null]}', '{"names":[null,null]}'),
        ('{"pair":[1,"Ann"]}', '{"pair":[1,null]}'),
        (
            '{"by_day":{"Monday":{"town":"Ulm","street":"B 1"}}}',
            '{"by_day":{"Monday":{"town":"Ulm","street":null}}}',
        ),
        ('{"by_name":{"Ann":1}}', '{"by_name":{}}'),
        ('{"whole":{"town":"Ulm","street":"B 1"}}', '{"whole":null}'),
        ('{"paid":{"type":"card","number":"4","bank":"B"}}', '{"paid":{"type":"card","number":null,"bank":"B"}}'),
        ('{"paid":{"number":"4","type":"card"}}', '{"paid":{"number":null,"type":"card"}}'),
        ('{"place":[1,3,"B 1"]}', '{"place":[1,3,null]}'),
        ('{"many":{"a":"Ann"}}', '{"many":{"a":null}}'),
        ('{"person":{"name":"Ann","friends":[{"name":"Bob"}]}}', '{"person":{"name":null,"friends":[{"name":null}]}}'),
        ('{"name":"Ann","name":null}', '{"name":null}'),
        ('{"na\\u006de":"Ann"}', '{"name":null}'),
        ('{ "name" : "Ann" }', '{"name":null}'),
    ],
)  # fmt: skip
def test_each_marked_member_becomes_null_wherever_it_stands(before: str, after: str) -> None:
    assert Told.without_personal(before.encode()).decode() == after
    assert Told.without_personal(after.encode()).decode() == after
    Told.from_json(after.encode())


@pytest.mark.parametrize(
    "value",
    [
        "{}",
        '{"id":1,"count":null,"anything":{"name":"Ann"}}',
        '{"changes":{},"homes":[]}',
        '{"paid":{"type":"cash","number":"4"}}',
        '{"place":[2,"Ulm","B 1"]}',
        '{"name":null,"reason":null,"changes":{"name":null}}',
        '{"unknown":{"name":"Ann"},"changes":{"other":1.10e0},"large":123456789012345678901234567890}',
    ],
)
def test_what_is_not_marked_is_left_as_it_stands(value: str) -> None:
    assert Told.without_personal(value.encode()).decode() == value


@pytest.mark.parametrize("value", [b"", b"junk", b"[]", b'{"name":7}', b'{"changes":["Ann"]}', b'{"name":"\xff"}'])
def test_data_that_the_class_cannot_read_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec has several, with messages of its own
        Told.without_personal(value)


# Earlier versions ----------------------------------------------------------------------------------------------------


def rename(members: dict[str, Any]) -> dict[str, Any]:
    """As careless as may be: the old members stay."""
    return {**members, "name": members["called"]}


class Renamed(Event, frozen=True, kw_only=True):
    type: ClassVar[str] = "test.renamed"
    topic: ClassVar[str] = "user_events"
    schema_version: ClassVar[int] = 2
    upcasters = {1: rename}

    id: int
    name: PersonalStr

    @property
    def key(self) -> str:
        return str(self.id)


def test_old_data_becomes_today_s_with_nothing_of_its_old_members() -> None:
    after = Renamed.without_personal(b'{"id":1,"called":"Ann"}', version=1)
    assert after == b'{"id":1,"name":null}'
    assert Renamed.without_personal(after, version=2) == after


def test_old_data_that_cannot_be_lifted_is_refused() -> None:
    with pytest.raises(UpcasterFailed):
        Renamed.without_personal(b'{"id":1}', version=1)
    with pytest.raises(UnknownVersion):
        Renamed.without_personal(b'{"id":1,"name":"Ann"}', version=3)
