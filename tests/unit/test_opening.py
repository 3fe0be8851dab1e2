"""A record from Kafka opened: whatever it holds comes out as a value, soon, and says nothing of its content."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import Stamp, seal
from events.event import Event
from events.inbox.opening import (
    AHEAD_MOST_S,
    DEPTH_MOST,
    Incoming,
    Opened,
    Unknown,
    Unreadable,
    identity_of,
    open_record,
)
from events.kafka import Record
from events.routing import Delivery, Routes, on

SECRET = "hunter2"
NOW = datetime.now(UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Named(Event, frozen=True, kw_only=True):
    type: ClassVar[str] = "test.named"
    topic: ClassVar[str] = "things"

    name: str
    n: int = 0
    share: float = 0.0

    @property
    def key(self) -> str:
        if self.name == "broken":
            raise LookupError(self.name)
        return self.name


def ignore(event: Named, delivery: Delivery) -> None:
    """Never called here."""


ROUTES = Routes(on(Named, ignore, name="ignore"), on(Named, ignore, name="again"))


def uuid7_at(at: datetime) -> UUID:
    return UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | 0b10 << 62)


def good(*, at: datetime = NOW, event_id: UUID | None = None, name: str = "ann") -> Record:
    stamp = Stamp(id=event_id or uuid7_at(at), source="https://tests.example", time=at, traceparent=TRACE)
    envelope = seal(Named(name=name), topic="things", stamp=stamp)
    return Record("things", 1, 7, 1_795_000_000_000, name.encode(), tuple(envelope.headers), envelope.value)


def with_value(value: bytes | None) -> Record:
    record = good()
    return Record("things", 1, 7, record.timestamp_ms, record.key, record.headers, value)


def with_header(name: str, value: bytes | None) -> Record:
    record = good()
    headers = tuple((other, old) for other, old in record.headers if other != name)
    headers += () if value is None else ((name, value),)
    return Record("things", 1, 7, record.timestamp_ms, record.key, headers, record.value)


def with_more(*more: tuple[str, Any]) -> Record:
    record = good()
    return Record("things", 1, 7, record.timestamp_ms, record.key, (*record.headers, *more), record.value)


def with_key(key: bytes | None) -> Record:
    record = good()
    return Record("things", 1, 7, record.timestamp_ms, key, record.headers, record.value)


def member(text: str) -> bytes:
    return b'{"name": "ann", "secret": "hunter2", %b}' % text.encode()


HOSTILE = {
    "no bytes": (with_value(b""), "data-invalid: value"),
    "no value": (with_value(None), "unreadable: the record has no value"),
    "5 MB": (with_value(b'{"name": "' + b"x" * 5_000_000), "too-large: value"),
    "bad JSON": (with_value(b'{"name": "ann", hunter2'), "data-invalid: value"),
    "two values": (with_value(b'{"name": "ann"}{}'), "data-invalid: value"),
    "deep JSON": (with_value(member('"x": ' + "[" * 300_000)), "data-invalid: nested too deep"),
    "deep and well formed": (with_value(member('"x": ' + '{"y":[' * 10 + "]}" * 10)), "data-invalid: nested too deep"),
    "a NUL byte": (with_value(b'{"name": "ann\0"}'), "data-invalid: value"),
    "an escaped NUL": (with_value(member(r'"x": "\\\u0000"')), "data-invalid: NUL"),
    "an array": (with_value(b'["ann"]'), "data-invalid: value"),
    "null": (with_value(b"null"), "data-invalid: value"),
    "a wrong type": (with_value(member('"n": "1"')), "data-invalid: value"),
    "a bool for a number": (with_value(member('"n": true')), "data-invalid: value"),
    "NaN": (with_value(member('"share": NaN')), "data-invalid: value"),
    "a float without end": (with_value(member('"share": 1e999')), "data-invalid: value"),
    "5,000 digits": (with_value(member('"n": ' + "9" * 5_000)), "data-invalid: value"),
    "half a surrogate pair": (with_value(member(r'"x": "\ud800 "')), "data-invalid: value"),
    "a byte order mark": (with_value(b'\xef\xbb\xbf{"name": "ann"}'), "data-invalid: value"),
    "UTF-16": (with_value('{"name": "ann"}'.encode("utf-16")), "data-invalid: value"),
    "not UTF-8": (with_value(b'{"name": "\xff"}'), "data-invalid: value"),
    "packed by gzip": (with_value(b"\x1f\x8b\x08\x00\x00\x00\x00\x00"), "data-invalid: value"),
    "a member missing": (with_value(b'{"n": 1}'), "data-invalid: value"),
    "another's data": (with_value(b'{"name": "bob"}'), "unreadable: the record key is not the event's"),
    "another's key": (with_key(b"bob"), "unreadable: the record key is not ce_subject"),
    "no key": (with_key(None), "unreadable: the record key is not ce_subject"),
    "a key that raises": (with_value(b'{"name": "broken"}'), "data-invalid: key"),
    "no headers": (Record("things", 1, 7, 0, b"ann", (), b"{}"), "unreadable: ce_specversion is not 1.0"),
    "a header missing": (with_header("ce_id", None), "unreadable: header ce_id is missing"),
    "a header empty": (with_header("ce_id", b""), "unreadable: header ce_id is missing"),
    "a header twice": (with_more(("ce_type", b"test.named")), "unreadable: header ce_type stands twice"),
    "a binary header": (with_header("ce_source", b"\xff\xfe"), "unreadable: header ce_source is not UTF-8 text"),
    "no header value": (with_more(("x-trace", None)), "unreadable: header x-trace is not UTF-8 text"),
    "a huge header": (with_more(("hunter2", b"x" * 900_000)), "too-large: headers"),
    "a huge header name": (with_more(("x" * 900_000, b"")), "too-large: headers"),
    "very many headers": (with_more(*((f"h{n}", b"") for n in range(50_000))), "too-large: number of headers"),
    "no UUID": (with_header("ce_id", b"hunter2"), "unreadable: ce_id is not a UUID"),
    "a UUID with a quote": (with_header("ce_id", b'","'), "unreadable: ce_id is not a UUID"),
    "UUIDv4": (
        with_header("ce_id", b"7b1c1f1e-0000-4000-8000-000000000000"),
        "unreadable: ce_id is not a UUID of version 7",
    ),
    "UUIDv7 of another variant": (
        with_header("ce_id", b"01920f3e-7b1a-7cc3-c8c4-dc0c0c07398f"),
        "unreadable: ce_id is not a UUID of version 7",
    ),
    "no time": (with_header("ce_time", b"hunter2"), "unreadable: ce_time is not RFC 3339"),
    "a time in 9999": (with_header("ce_time", b"9999-12-31T23:59:59-23:00"), "unreadable: ce_time is not of our days"),
    "the year 1": (with_header("ce_time", b"0001-01-01T00:00:00+23:00"), "unreadable: ce_time is not of our days"),
    "an id of the year 10889": (
        with_header("ce_id", b"ffffffff-ffff-7000-8000-000000000000"),
        "unreadable: ce_id is ahead of time",
    ),
    "a higher version": (with_header("ce_dataschema", b"https://x.example/test.named/2"), "version-unknown: 2"),
    "version 0": (with_header("ce_dataschema", b"https://x.example/test.named/0"), "version-unknown: 0"),
    "a version of many digits": (
        with_header("ce_dataschema", b"https://x.example/test.named/" + b"9" * 9_999),
        "unreadable: ce_dataschema does not end in a version",
    ),
}  # fmt: skip


def reason_of(opened: Opened) -> str:
    assert isinstance(opened, Unreadable)
    return opened.reason


@pytest.mark.parametrize(("record", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_record_is_told_by_its_part_and_never_by_its_content(record: Record, reason: str) -> None:
    opened = open_record(record, ROUTES)
    assert reason_of(opened) == reason
    assert SECRET not in reason_of(opened)


@pytest.mark.parametrize(
    "value",
    [
        member('"x": ' + "[" * 499_000 + "]" * 499_000),
        member('"x": [' + "[]," * 300_000 + "[]]"),
        member('"x": "' + r"\"" * 490_000),
        member('"x": [' + '"",' * 300_000 + "[" * 21),
        member('"x": "' + r"\\" * 490_000 + r'\u0000"'),
    ],
    ids=["deep", "wide", "quotes", "strings", "backslashes"],
)
def test_a_value_made_to_be_slow_costs_no_more_than_its_bytes(value: bytes) -> None:
    began = time.process_time()
    open_record(with_value(value), ROUTES)
    assert time.process_time() - began < 1


def test_a_good_record_comes_with_its_event_its_handlers_and_its_trace() -> None:
    opened = open_record(good(), ROUTES)
    assert isinstance(opened, Incoming)
    assert opened.event == Named(name="ann")
    assert [route.name for route in opened.routes] == ["ignore", "again"]
    assert opened.trace == TRACE
    assert opened.identity == uuid7_at(NOW)


@pytest.mark.parametrize("traceparent", [None, b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01", b"hunter2"])
def test_a_record_without_a_trace_gets_one_of_its_own(traceparent: bytes | None) -> None:
    opened = open_record(with_header("traceparent", traceparent), ROUTES)
    assert isinstance(opened, Incoming)
    assert len(opened.trace) == len(TRACE)
    assert SECRET not in opened.trace


def test_brackets_that_are_text_and_unknown_members_are_no_matter() -> None:
    texts = member('"x": "' + r"\"[{" * 50_000 + r'\\", "y": ' + "[" * (DEPTH_MOST - 1) + "]" * (DEPTH_MOST - 1))
    assert isinstance(open_record(with_value(texts), ROUTES), Incoming)


def test_what_only_looks_like_an_escaped_nul_is_text() -> None:
    assert isinstance(open_record(with_value(member(r'"x": "\\u0000 \\\\u0000"')), ROUTES), Incoming)


@pytest.mark.parametrize("ahead_s", [-60, 60])
def test_times_up_to_a_day_ahead_are_taken(ahead_s: int) -> None:
    at = datetime.now(UTC) + timedelta(seconds=AHEAD_MOST_S + ahead_s)
    by_time = open_record(good(at=at, event_id=uuid7_at(NOW)), ROUTES)
    by_id = open_record(good(event_id=uuid7_at(at)), ROUTES)
    assert isinstance(by_time, Incoming) == isinstance(by_id, Incoming) == (ahead_s < 0)


def test_a_type_that_is_not_known_is_no_fault_whatever_its_data() -> None:
    record = with_header("ce_type", b"test.newer")
    newer = Record("things", 1, 7, record.timestamp_ms, record.key, record.headers, b"[" * 100_000)
    assert isinstance(open_record(newer, ROUTES), Unknown)


def test_what_the_client_could_not_read_is_told_as_it_said() -> None:
    record = good()
    flawed = Record(
        "things", 1, 7, record.timestamp_ms, record.key, record.headers, record.value, flaw="unreadable: record batch"
    )
    assert reason_of(open_record(flawed, ROUTES)) == "unreadable: record batch"


def test_the_identity_of_a_record_without_an_event_is_its_place_for_ever() -> None:
    record = Record("user.events", 2, 1234, 1_795_000_000_000, None, (), None)
    told = UUID("748db626-0741-5873-b0ca-c508f8545858")
    assert identity_of(record, "4L6g3nShT-eMCtK--X86sw") == told
    assert open_record(record, ROUTES, cluster="4L6g3nShT-eMCtK--X86sw").identity == told
    unknown = open_record(with_header("ce_type", b"test.newer"), ROUTES, cluster="a")
    assert unknown.identity == identity_of(unknown.record, "a")


def test_no_two_records_have_one_identity() -> None:
    places = [("a", 1, 23, 4), ("a", 12, 3, 4), ("a", 1, 2, 34), ("b", 1, 23, 4), ("a", 1, 23, 5)]
    records = [Record(topic, partition, offset, at, None, (), None) for topic, partition, offset, at in places]
    assert len({identity_of(record, cluster) for record in records for cluster in ("", "c", "c/a")}) == 15


TEXT = st.text(alphabet='[]{}"\\u', max_size=5)
JSON = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(inner=JSON, around=st.integers(0, 30))
def test_the_limit_of_depth_is_exact(inner: Any, around: int) -> None:
    def depth(value: Any) -> int:
        below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if below is None else 1 + max(map(depth, below), default=0)

    data: dict[str, Any] = {"name": "ann", "x": inner}
    for _ in range(around):
        data["x"] = [data["x"]]
    opened = open_record(with_value(json.dumps(data).encode()), ROUTES)
    is_deep = isinstance(opened, Unreadable) and opened.reason == "data-invalid: nested too deep"
    assert is_deep == (depth(data) > DEPTH_MOST)


NAMES = st.sampled_from([name for name, _ in good().headers]) | st.text(max_size=5)


@given(
    key=st.sampled_from([None, b"", b"ann"]),
    headers=st.lists(
        st.sampled_from(good().headers) | st.tuples(NAMES, st.binary(max_size=40) | st.none()), max_size=15
    ),
    value=st.sampled_from([None, b'{"name": "ann"}']) | st.binary(max_size=40),
)
def test_whatever_arrives_comes_out_as_a_value(key: bytes | None, headers: list[Any], value: bytes | None) -> None:
    opened = open_record(Record("things", 1, 7, 0, key, headers, value), ROUTES)
    assert opened.identity.version in (5, 7)
