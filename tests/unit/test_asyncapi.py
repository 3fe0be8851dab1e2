"""docs/asyncapi.json: an AsyncAPI 3.0 document, and what is sealed is what it says."""

import gc
import json
import re
from datetime import UTC, datetime
from functools import partial, reduce
from operator import getitem
from pathlib import Path
from typing import Any, ClassVar, get_type_hints
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from accounts.event_types import UserLoggedIn, UserRegistered
from accounts.routes import ROUTES
from events.envelope import Actor, Envelope, Stamp, seal
from events.event import Event, Instant
from events.inbox.dead_letters import copy_to_topic
from events.inbox.store import NewParked
from events.kafka import Record
from events.models import OutboxRecord
from events.outbox.store import decode_headers
from events.routing import Routes, event_classes, on, unhandled
from events.schemas.asyncapi import document
from tests.asyncapi import FORMATS, WRITTEN, wrong, wrong_record

ROOT = Path(__file__).parents[2]
SPECIFICATION = json.loads((ROOT / "tests/unit/asyncapi-spec/asyncapi-3.0.0.json").read_text("utf-8"))
EVENTS = list(ROUTES.classes.values())
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def problems(described: Any) -> list[str]:
    return [
        f"{error.json_path}: {error.message[:200]}" for error in Draft7Validator(SPECIFICATION).iter_errors(described)
    ]


def test_it_is_an_asyncapi_document_by_asyncapis_own_schema() -> None:
    assert problems(WRITTEN) == []


@pytest.mark.parametrize("part", ["channels", "operations", "components"])
def test_asyncapis_own_schema_refuses_what_is_none(part: str) -> None:
    name = next(iter(WRITTEN[part]))

    assert problems(WRITTEN | {part: WRITTEN[part] | {name: {"actoin": "send"}}}) != []


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [value["$ref"]] if "$ref" in value else [found for part in value.values() for found in references(part)]
    return [found for part in value for found in references(part)] if isinstance(value, list) else []


def at(reference: str) -> Any:
    return reduce(getitem, reference.removeprefix("#/").split("/"), WRITTEN)


def test_every_reference_leads_somewhere() -> None:
    found = references(WRITTEN)

    assert len(found) > 10
    assert all(at(reference) for reference in found)


def formats(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {name for name in (value.get("format"),) if isinstance(name, str)}.union(*map(formats, value.values()))
    return set().union(*map(formats, value)) if isinstance(value, list) else set()


def test_every_format_that_it_names_is_looked_at() -> None:
    assert formats(WRITTEN) == {"uuid", "date-time", "uri-reference"}
    assert formats(WRITTEN) <= FORMATS.checkers.keys()


def test_every_topic_is_a_channel_under_the_name_it_has_by_default_beside_its_dead_letters() -> None:
    example = (ROOT / ".env.example").read_text()
    names = {key.lower(): name for key, name in re.findall(r"^#?KAFKA_TOPIC_(\w+)=(.+)$", example, flags=re.MULTILINE)}
    addresses = {key: channel["address"] for key, channel in WRITTEN["channels"].items()}

    assert len(names) == 3
    assert addresses == names | {f"{key}.dlq": f"{name}.dlq" for key, name in names.items()}


def test_every_event_class_is_a_message_of_its_topic() -> None:
    told = {(key, name) for key, channel in WRITTEN["channels"].items() for name in channel["messages"]}

    assert {(event.topic, event.type) for event in event_classes()} == {
        (key, name) for key, name in told if name != "dead-letter"
    }
    assert {(event.topic, event.type) for event in EVENTS} <= told


def envelope_of(event: Event, actor: Actor | None) -> Envelope:
    stamp = Stamp(
        UUID("01920f3e-7b1a-7cc3-98c4-dc0c0c07398f"), "https://users.example", datetime.now(UTC), TRACE, actor
    )
    return seal(event, topic="user.events", stamp=stamp)


def instances(event: type[Event]) -> st.SearchStrategy[Event]:
    moments = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is beside it
    of = {Instant: moments, Instant | None: st.none() | moments}
    hints = {name: get_type_hints(event, include_extras=True)[name] for name in event.__struct_fields__}
    return st.builds(event, **{name: of.get(hint, st.from_type(hint)) for name, hint in hints.items()})


@pytest.fixture(scope="module", autouse=True)
def _nothing_of_others_is_collected_here() -> None:
    """Hypothesis makes an error of every warning, of sockets too that kafka-python left in tests before."""
    gc.collect()


ACTORS = st.sampled_from([None, Actor("system"), Actor("staff", "7")])


@settings(max_examples=30)
@given(data=st.data(), actor=ACTORS)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_what_is_sealed_is_what_the_document_says(event: type[Event], actor: Actor | None, data: st.DataObject) -> None:
    sealed = envelope_of(data.draw(instances(event)), actor)
    headers = {name: value.decode() for name, value in sealed.headers}

    assert wrong(headers, event.type, "headers") == []
    assert headers.keys() <= WRITTEN["components"]["schemas"]["event-headers"]["properties"].keys()
    assert wrong(json.loads(sealed.value), event.type, "payload") == []
    assert wrong(sealed.key, event.type, "bindings", "kafka", "key") == []


SIGN_IN = UserLoggedIn(
    user_id=UUID(int=1), version=1, session_id=UUID(int=2), at=datetime.now(UTC), device="x", ip=None
)
SEALED = {name: value.decode() for name, value in envelope_of(SIGN_IN, None).headers}


@pytest.mark.parametrize(
    "change",
    [
        {"ce_specversion": "0.3"},
        {"ce_type": "user.registered"},
        {"ce_id": "6ba7b810-9dad-41d1-80b4-00c04fd430c8"},
        {"ce_dataschema": "https://users.example/schemas/user.logged_in/2"},
        {"ce_time": "2026-01-31T12:00:00+01:00"},
        {"ce_time": "yesterday, Z"},
        {"ce_time": "2026-02-30T12:00:00Z"},
        {"ce_source": "https://users.example/ "},
        {"traceparent": "none"},
        {"content-type": "text/plain"},
        {"ce_subject": ""},
    ],
)
def test_headers_of_another_event_or_none_are_not_what_it_says(change: dict[str, str]) -> None:
    assert wrong(SEALED | change, "user.logged_in", "headers") != []


@pytest.mark.parametrize("name", SEALED)
def test_each_header_that_is_always_sealed_is_required(name: str) -> None:
    fewer = {other: value for other, value in SEALED.items() if other != name}

    assert wrong(fewer, "user.logged_in", "headers") != []


def test_the_examples_are_what_the_document_says() -> None:
    for event in EVENTS:
        (example,) = WRITTEN["components"]["messages"][event.type]["examples"]
        assert wrong(example["headers"], event.type, "headers") == []
        assert wrong(example["payload"], event.type, "payload") == []
        assert isinstance(event.from_json(json.dumps(example["payload"]).encode()), event)


@pytest.mark.django_db
@pytest.mark.parametrize("value", [b"\xff", b"x" * 2_000_000], ids=["whole", "stub"])
def test_a_dead_letter_is_copied_as_the_document_says(value: bytes) -> None:
    record = Record("user.events", 0, 7, 1_700_000_000_000, b"\xff", [("ce_type", b"\xff")], value)
    letter = NewParked(record, handler="", event_id=UUID(int=7), type="", reason="unreadable", is_dead=True)
    copy_to_topic(letter, group="usercenter")

    stored = OutboxRecord.objects.get(topic="user.events.dlq")
    headers = decode_headers(bytes(stored.headers))
    copy = partial(wrong_record, "user_events.dlq", stored.key.encode())
    assert copy(headers, bytes(stored.value)) == []
    assert copy((*headers, ("x-more", b"1")), b"") == ["header x-more is not told"]
    assert copy((*headers, headers[-1]), b"") != []
    assert copy([one for one in headers if one[0] != "dlq_offset"], b"") == ["'dlq_offset' is a required property"]
    assert ("dlq_stub" in dict(headers)) is (len(value) > 1)


class Silent(Event, frozen=True, kw_only=True):
    type: ClassVar[str] = "door.opened"
    topic: ClassVar[str] = "doors"
    key: ClassVar[str] = "front"


def test_only_what_has_handlers_is_received() -> None:
    routes = Routes(
        on(UserRegistered, print, name="a"), unhandled(UserLoggedIn, because="x"), unhandled(Silent, because="x")
    )
    described = document([UserRegistered, UserLoggedIn, Silent], routes, {"user_events": "u", "doors": "d"})
    told = {
        name: [message["$ref"].rsplit("/", 1)[1] for message in operation["messages"]]
        for name, operation in described["operations"].items()
    }

    assert told == {
        "send_user_events": ["user.logged_in", "user.registered"],
        "receive_user_events": ["user.registered"],
        "send_user_events.dlq": ["dead-letter"],
        "send_doors": ["door.opened"],
    }


def test_a_class_whose_topic_is_not_configured_is_left_out() -> None:
    described = document([UserRegistered, Silent], ROUTES, {"user_events": "u"})

    assert described["components"]["messages"].keys() == {"user.registered", "dead-letter"}
    assert described["components"]["schemas"].keys() == {"event-headers", "UserRegistered"}
