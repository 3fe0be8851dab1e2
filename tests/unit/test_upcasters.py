"""Data of an earlier version of an event: lifted version by version, or told why not."""

from typing import Any, ClassVar
from uuid import UUID

import pytest

from accounts.event_types import UserLoggedIn
from events import checks
from events.event import Event, UnknownVersion, Upcaster, UpcasterFailed
from events.inbox.opening import Incoming, Opened, Unreadable, open_record
from events.kafka import Record
from events.routing import Routes, unhandled


def split_name(members: dict[str, Any]) -> dict[str, Any]:
    first, last = members.pop("name").split(" ")
    return {**members, "first": first, "last": last}


def wrap_names(members: dict[str, Any]) -> dict[str, Any]:
    return {"id": members["id"], "names": [members["first"], members["last"]]}


class Moved(Event, frozen=True, kw_only=True):
    type: ClassVar[str] = "test.moved"
    topic: ClassVar[str] = "things"
    schema_version: ClassVar[int] = 3
    upcasters = {1: split_name, 2: wrap_names}

    id: UUID
    names: list[str]

    @property
    def key(self) -> str:
        return str(self.id)


class Gapped(Moved, frozen=True, kw_only=True):
    type: ClassVar[str] = "test.gapped"
    schema_version: ClassVar[int] = 3
    upcasters = {2: wrap_names}


ID = "01920f3e-7b1a-7cc3-98c4-dc0c0c07398f"
V1 = b'{"id": "%b", "name": "Ann Lee", "note": "hunter2"}' % ID.encode()
V2 = b'{"id": "%b", "first": "Ann", "last": "Lee"}' % ID.encode()
V3 = b'{"id": "%b", "names": ["Ann", "Lee"], "unknown": {"to": "us"}}' % ID.encode()
ANN = Moved(id=UUID(ID), names=["Ann", "Lee"])


@pytest.mark.parametrize(("version", "value"), [(1, V1), (2, V2), (3, V3), (None, V3)])
def test_each_version_reads_as_today_s_event(version: int | None, value: bytes) -> None:
    assert Moved.from_json(value, version=version) == ANN


@pytest.mark.parametrize(("event", "version"), [(Moved, 0), (Moved, -1), (Moved, 4), (Gapped, 1)])
def test_a_version_with_no_way_to_today_s_is_unknown(event: type[Event], version: int) -> None:
    with pytest.raises(UnknownVersion):
        event.from_json(V1, version=version)


def test_an_upcaster_that_raises_is_told_by_its_version_and_error_alone() -> None:
    with pytest.raises(UpcasterFailed) as failed:
        Moved.from_json(b'{"id": "hunter2"}', version=1)
    assert str(failed.value) == "upcaster of version 1, KeyError"


def opened(version: int, value: bytes, event: type[Event] = Moved) -> Opened:
    headers = {
        "ce_specversion": "1.0", "ce_id": ID, "ce_source": "https://tests.example", "ce_type": event.type,
        "ce_subject": ID, "ce_time": "2026-11-24T09:30:00Z", "ce_dataschema": f"https://tests.example/x/{version}",
    }  # fmt: skip
    encoded = tuple((name, value.encode()) for name, value in headers.items())
    return open_record(Record("things", 0, 0, 0, ID.encode(), encoded, value), Routes(unhandled(event, because="")))


def test_a_record_of_an_old_version_is_opened_as_today_s_event() -> None:
    found = opened(1, V1)
    assert isinstance(found, Incoming)
    assert found.event == ANN


@pytest.mark.parametrize(
    ("version", "value", "event", "reason"),
    [
        (4, V3, Moved, "version-unknown: 4"),
        (0, V1, Moved, "version-unknown: 0"),
        (1, V1, Gapped, "version-unknown: 1"),
        (1, b'{"name": "hunter2"}', Moved, "data-invalid: upcaster of version 1, ValueError"),
        (2, b'{"id": 1, "first": "a", "last": "b"}', Moved, "data-invalid: value"),
    ],
)
def test_what_cannot_be_lifted_says_why(version: int, value: bytes, event: type[Event], reason: str) -> None:
    found = opened(version, value, event)
    assert isinstance(found, Unreadable)
    assert found.reason == reason


@pytest.mark.parametrize("value", [b"[]", b"null", b'"x"', b"{", b'{"first": "\xff", "last": "", "id": ""}'])
def test_old_data_that_is_no_object_or_no_json_is_invalid_like_any(value: bytes) -> None:
    found = opened(2, value)
    assert isinstance(found, Unreadable)
    assert found.reason == "data-invalid: value"


def returns_none(members: dict[str, Any]) -> Any:
    """Forgot its return."""


def returns_what_is_no_json(members: dict[str, Any]) -> dict[str, Any]:
    return {"id": object()}


@pytest.mark.parametrize("upcaster", [returns_none, returns_what_is_no_json])
def test_an_upcaster_that_returns_no_object_is_invalid_data(
    upcaster: Upcaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Moved, "upcasters", {2: upcaster})
    found = opened(2, V2)
    assert isinstance(found, Unreadable)
    assert found.reason.startswith("data-invalid: ")


@pytest.mark.parametrize(
    ("version", "upcasters", "told"),
    [
        (1, {}, []),
        (3, {1: split_name, 2: wrap_names}, []),
        (3, {2: wrap_names}, ["user.logged_in: no upcaster from version 1"]),
        (1, {1: split_name}, ["user.logged_in: an upcaster from version 1"]),
    ],
)
def test_the_checks_ask_for_an_upcaster_from_each_earlier_version(
    version: int, upcasters: dict[int, Upcaster], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UserLoggedIn, "schema_version", version)
    monkeypatch.setattr(UserLoggedIn, "upcasters", upcasters)
    found = checks.check_every_version_can_be_read(None)
    assert [(problem.msg, problem.id) for problem in found] == [(message, "events.E006") for message in told]
