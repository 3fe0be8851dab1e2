"""Hostile records between good ones (S44): each is a dead letter with its reason, or skipped; nothing stops."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from uuid import uuid4

import pytest
from kafka import KafkaProducer  # type: ignore[import-untyped]  # ships no types

from devstack import Stack
from events.conf import EventsSettings
from events.kafka._records import UNPACKED_BYTES_MOST
from events.models import ParkedDelivery
from tests.integration.consuming import Member, admin, committed
from tests.integration.counting import raw, rows
from tests.integration.raw_records import Raw, Topic

pytestmark = pytest.mark.usefixtures("effects")

SECRET = b"hunter2"
SKIPPED = ""


class Bytes(str):
    """A header's name that is no text: the client encodes it in this way and never looks."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return b"\xff" + SECRET


def value(content: bytes | None) -> Raw:
    return Raw(raw(1).key, content, raw(1).headers)


def member(content: bytes) -> Raw:
    return value(b'{"name": "ann", "n": 1, "secret": "hunter2", "x": %b}' % content)


def header(name: str, content: bytes | None) -> Raw:
    kept = tuple((other, old) for other, old in raw(1).headers if other != name)
    return Raw(raw(1).key, raw(1).value, kept if content is None else (*kept, (name, content)))


def more(*headers: tuple[str, bytes]) -> Raw:
    return Raw(raw(1).key, raw(1).value, (*raw(1).headers, *headers))


HOSTILE: Mapping[str, tuple[Raw, str]] = {
    "0 bytes": (value(b""), "data-invalid: value"),
    "no value": (value(None), "unreadable: the record has no value"),
    "5 MB": (member(b'"' + b"x" * 5_000_000 + b'"'), "too-large: value"),
    "bad JSON": (value(b'{"name": "ann", hunter2}'), "data-invalid: value"),
    "deep JSON": (member(b"[" * 200_000), "data-invalid: nested too deep"),
    "NUL": (member(b'"\\u0000"'), "data-invalid: NUL"),
    "an array": (value(b'["hunter2"]'), "data-invalid: value"),
    "wrong types": (value(b'{"name": "ann", "n": "hunter2"}'), "data-invalid: value"),
    "NaN": (value(b'{"name": "ann", "n": NaN}'), "data-invalid: value"),
    "5,000 digits": (value(b'{"name": "ann", "n": %b}' % (b"9" * 5_000)), "data-invalid: value"),
    "half a surrogate pair": (member(b'"\\ud800 "'), "data-invalid: value"),
    "a byte order mark": (value(b'\xef\xbb\xbf{"name": "ann", "n": 1}'), "data-invalid: value"),
    "another's data": (value(b'{"name": "hunter2", "n": 1}'), "unreadable: the record key is not the event's"),
    "another's key": (Raw(SECRET, raw(1).value, raw(1).headers), "unreadable: the record key is not ce_subject"),
    "no key": (Raw(None, raw(1).value, raw(1).headers), "unreadable: the record key is not ce_subject"),
    "an unknown type": (header("ce_type", b"test.newer"), SKIPPED),
    "a higher version": (header("ce_dataschema", b"https://tests.example/x/2"), "version-unknown: 2"),
    "no headers": (Raw(b"ann", SECRET), "unreadable: ce_specversion is not 1.0"),
    "a header missing": (header("ce_id", None), "unreadable: header ce_id is missing"),
    "a header twice": (more(("ce_id", SECRET)), "unreadable: header ce_id stands twice"),
    "a binary header": (header("ce_source", b"\xff" + SECRET), "unreadable: header ce_source is not UTF-8 text"),
    "a header name in bytes": (more((Bytes("x"), b"")), "unreadable: a header name is not UTF-8"),
    "a huge header": (more(("x", SECRET * 100_000)), "too-large: headers"),
    "very many headers": (more(*((f"h{n}", SECRET) for n in range(20_000))), "too-large: number of headers"),
    "no UUID": (header("ce_id", SECRET), "unreadable: ce_id is not a UUID"),
    "no UUIDv7": (
        header("ce_id", b"7b1c1f1e-0000-4000-8000-000000000000"),
        "unreadable: ce_id is not a UUID of version 7",
    ),
    "an id of the year 10889": (
        header("ce_id", b"ffffffff-ffff-7000-8000-000000000000"),
        "unreadable: ce_id is ahead of time",
    ),
    "a time in 9999": (header("ce_time", b"9999-12-31T23:59:59Z"), "unreadable: ce_time is not of our days"),
}


@pytest.fixture
def wide_topic(parts: Stack) -> Iterator[Topic]:
    """One partition, which takes records of 10 MB."""
    name = f"test-wide-{uuid4().hex[:12]}"
    wide = {"num_partitions": 1, "replication_factor": 1, "configs": {"max.message.bytes": "10000000"}}
    with admin() as client:
        client.create_topics({name: wide}, wait_for_metadata=True)
    with closing(producer()) as client:
        yield Topic(name, client)


def producer(codec: str | None = None) -> KafkaProducer:
    return KafkaProducer(
        bootstrap_servers=list(EventsSettings.current().brokers),
        api_version=(4, 0),
        compression_type=codec,
        max_request_size=2 * UNPACKED_BYTES_MOST,
    )


def test_hostile_records_between_two_good_ones_cost_nothing_but_their_dead_letters(
    wide_topic: Topic, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wide_topic.write(raw(1), *(record for record, _ in HOSTILE.values()), raw(2))
    Member(wide_topic).run_once()
    assert rows() == [("ann", 1), ("ann", 2)]
    expected = {at: reason for at, (_, reason) in enumerate(HOSTILE.values(), 1) if reason != SKIPPED}
    assert dict(ParkedDelivery.objects.filter(handler="").values_list("offset", "reason")) == expected
    assert ParkedDelivery.objects.count() == len(expected)
    assert committed(wide_topic) == {0: len(HOSTILE) + 2}
    assert not any(SECRET.decode() in json.dumps(vars(line), default=str) for line in caplog.records)


def test_a_batch_that_unpacks_without_end_is_one_dead_letter(wide_topic: Topic) -> None:
    wide_topic.write(raw(1))
    with closing(producer("gzip")) as bomber:
        Topic(wide_topic.name, bomber).write(Raw(b"ann", b"\0" * (UNPACKED_BYTES_MOST + 1)))
    wide_topic.write(raw(2))
    Member(wide_topic).run_once()
    assert rows() == [("ann", 1), ("ann", 2)]
    (letter,) = ParkedDelivery.objects.all()
    assert (letter.offset, letter.reason, letter.value) == (1, "too-large: record batch, size", None)
    assert committed(wide_topic) == {0: 3}
