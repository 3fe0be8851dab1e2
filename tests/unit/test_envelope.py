"""CloudEvents 1.0 in Kafka's binary mode: what is sealed, and what is refused when it is opened."""

from datetime import UTC, datetime, timedelta, timezone
from typing import ClassVar
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import Actor, Headers, Stamp, UnreadableEnvelope, open_envelope, seal
from events.event import Event
from events.outbox import store

EVENT_ID = UUID("01920f3e-7b1a-7cc3-98c4-dc0c0c07398f")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADERS = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"01920f3e-7b1a-7cc3-98c4-dc0c0c07398f"),
    ("ce_source", b"https://users.example"),
    ("ce_type", b"thing.happened"),
    ("ce_subject", "käse".encode()),
    ("ce_time", b"2026-11-24T09:30:00.000125Z"),
    ("ce_dataschema", b"https://users.example/schemas/thing.happened/3"),
    ("content-type", b"application/json"),
    ("traceparent", TRACE.encode()),
)


class Happened(Event, frozen=True, kw_only=True):
    type: ClassVar[str] = "thing.happened"
    schema_version: ClassVar[int] = 3
    topic: ClassVar[str] = "things"

    name: str

    @property
    def key(self) -> str:
        return self.name


def stamp(actor: Actor | None = None) -> Stamp:
    at = datetime(2026, 11, 24, 11, 30, 0, 125, tzinfo=timezone(timedelta(hours=2)))
    return Stamp(id=EVENT_ID, source="https://users.example", time=at, traceparent=TRACE, actor=actor)


def test_everything_but_the_data_goes_into_headers() -> None:
    envelope = seal(Happened(name="käse"), topic="my.things", stamp=stamp())
    assert envelope.topic == "my.things"
    assert envelope.key == "käse"
    assert envelope.value == '{"name":"käse"}'.encode()
    assert envelope.headers == HEADERS


@pytest.mark.parametrize(
    ("actor", "expected"),
    [
        (Actor("user", "42"), (("ce_authtype", b"user"), ("ce_authid", b"42"))),
        (Actor("system"), (("ce_authtype", b"system"),)),
    ],
)
def test_an_actor_is_told_in_the_auth_attributes(actor: Actor, expected: Headers) -> None:
    envelope = seal(Happened(name="käse"), topic="my.things", stamp=stamp(actor))
    assert tuple(envelope.headers) == HEADERS + tuple(expected)


def test_opening_gives_what_the_headers_say() -> None:
    received = open_envelope(key="käse".encode(), headers=HEADERS, value=b"{}")
    assert received.id == EVENT_ID
    assert received.source == "https://users.example"
    assert received.type == "thing.happened"
    assert received.schema_version == 3
    assert received.time == datetime(2026, 11, 24, 9, 30, 0, 125, tzinfo=UTC)
    assert received.traceparent == TRACE
    assert received.key == "käse"
    assert received.value == b"{}"


def test_a_stranger_s_record_without_a_trace_can_be_read() -> None:
    headers = [header for header in HEADERS if header[0] != "traceparent"]
    assert open_envelope(key="käse".encode(), headers=headers, value=b"{}").traceparent is None


def changed(name: str, value: bytes | None) -> Headers:
    kept = [(other, old) for other, old in HEADERS if other != name]
    return kept if value is None else [*kept, (name, value)]


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (changed("ce_specversion", None), "ce_specversion is not 1.0"),
        (changed("ce_specversion", b"0.3"), "ce_specversion is not 1.0"),
        (changed("ce_id", None), "header ce_id is missing"),
        (changed("ce_id", b"12"), "ce_id is not a UUID"),
        (changed("ce_id", b"6ba7b810-9dad-41d1-80b4-00c04fd430c8"), "ce_id is not a UUID of version 7"),
        (changed("ce_source", b""), "header ce_source is missing"),
        (changed("ce_type", None), "header ce_type is missing"),
        (changed("ce_subject", None), "header ce_subject is missing"),
        (changed("ce_subject", b"other"), "the record key is not ce_subject"),
        (changed("ce_subject", b"\xff"), "header ce_subject is not UTF-8 text"),
        (changed("ce_time", b"yesterday"), "ce_time is not RFC 3339"),
        (changed("ce_time", b"2026-11-24T09:30:00"), "ce_time has no time zone"),
        (changed("ce_dataschema", b"https://users.example/schemas/thing.happened"), "does not end in a version"),
        (changed("ce_dataschema", b"https://users.example/schemas/x/-1"), "does not end in a version"),
        (changed("ce_dataschema", "https://users.example/schemas/x/٣".encode()), "does not end in a version"),
        ([*HEADERS, ("ce_id", b"01920f3e-7b1a-7cc3-98c4-dc0c0c07398f")], "header ce_id stands twice"),
        (changed("traceparent", b"\xff"), "header traceparent is not UTF-8 text"),
        (changed("content-type", b"application/avro"), "content-type is not application/json"),
        ([*HEADERS, ("other", None)], "header other is not UTF-8 text"),
        ([*HEADERS, ("other", b"1"), ("other", b"1")], "header other stands twice"),
        ([*HEADERS, *((f"h{n}", b"") for n in range(56))], "too-large: number of headers"),
        ([*HEADERS, ("other", b"x" * 16_384)], "too-large: headers"),
        ([*HEADERS, ("x" * 16_385, b"")], "too-large: headers"),
    ],
)
def test_what_is_no_event_of_ours_is_refused_by_name(headers: Headers, told: str) -> None:
    with pytest.raises(UnreadableEnvelope, match=told):
        open_envelope(key="käse".encode(), headers=headers, value=b"{}")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [(None, b"{}", "the record key is not ce_subject"), ("käse".encode(), None, "the record has no value")],
)
def test_a_record_without_key_or_value_is_refused(key: bytes | None, value: bytes | None, told: str) -> None:
    with pytest.raises(UnreadableEnvelope, match=told):
        open_envelope(key=key, headers=HEADERS, value=value)


def test_a_strange_header_s_name_is_told_short_and_without_what_moves_a_screen() -> None:
    with pytest.raises(UnreadableEnvelope) as refused:
        open_envelope(key=b"k", headers=[("\x1b[2J\n" + "x" * 10_000, b"\xff")], value=b"{}")
    assert str(refused.value) == f"unreadable: header \ufffd[2J\ufffd{'x' * 59} is not UTF-8 text"


def test_foreign_headers_within_the_limits_and_a_charset_do_no_harm() -> None:
    headers = [
        *changed("content-type", b"application/json; charset=utf-8"),
        *((f"h{n}", b"\xc3\xbc") for n in range(55)),
    ]
    assert open_envelope(key="k\u00e4se".encode(), headers=headers, value=b"{}").id == EVENT_ID


@given(
    key=st.binary() | st.none(),
    headers=st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=40))),
    value=st.binary() | st.none(),
)
def test_whatever_arrives_is_refused_in_one_way(key: bytes | None, headers: Headers, value: bytes | None) -> None:
    with pytest.raises(UnreadableEnvelope):
        open_envelope(key=key, headers=headers, value=value)


@given(st.text(min_size=1))
def test_any_key_comes_back_as_it_was(name: str) -> None:
    envelope = seal(Happened(name=name), topic="things", stamp=stamp())
    received = open_envelope(key=envelope.key.encode(), headers=envelope.headers, value=envelope.value)
    assert received.key == name
    assert Happened.from_json(received.value) == Happened(name=name)


@given(st.lists(st.tuples(st.text(), st.text())))
def test_headers_come_back_from_their_column_as_they_were(headers: list[tuple[str, str]]) -> None:
    encoded = [(name, value.encode()) for name, value in headers]
    assert store.decode_headers(store.encode_headers(encoded)) == encoded


@pytest.mark.parametrize(
    ("key", "shard"),
    # Java's murmur2 of each (as in Kafka's own tests), made positive, modulo 64.
    [("21", 44), ("foobar", 62), ("a-little-bit-long-string", 32), ("abc", 27)],
)
def test_the_shard_of_a_key_is_fixed_for_ever(key: str, shard: int) -> None:
    assert store.shard_of(key) == shard
