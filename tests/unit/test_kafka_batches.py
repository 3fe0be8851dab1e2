"""Record batches read by our own hand: the same as the client's own reader, but that nothing stops it."""

import gzip
import struct
from collections.abc import Callable, Sequence
from typing import Any

import lz4.frame  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import TopicPartition  # type: ignore[import-untyped]  # ships no types
from kafka import errors as theirs
from kafka.consumer.fetcher import Fetcher  # type: ignore[import-untyped]  # as above
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder  # type: ignore[import-untyped]  # as above
from kafka.record.util import calc_crc32c, encode_varint  # type: ignore[import-untyped]  # as above

from events.kafka import Record
from events.kafka._batches import Batches
from events.kafka._records import UNPACKED_BYTES_MOST

PLACE = TopicPartition("things", 1)
HEADER = struct.Struct(">qiibIhiqqqhii")
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
Headers = Sequence[tuple[str, bytes | None]]


def batch(*records: tuple[bytes | None, bytes | None, Headers], base: int = 0, codec: int = NONE) -> bytes:
    """As a broker would give out what the client's producer made."""
    builder = MemoryRecordsBuilder(magic=2, compression_type=codec, batch_size=10_000_000)
    for at, (key, value, headers) in enumerate(records):
        builder.append(1_795_000_000_000 + at, key, value, list(headers))
    builder.close()
    return sealed(bytes(builder.buffer()), base_offset=base)


def sealed(content: bytes, **changes: int) -> bytes:
    """The batch with these fields, a length that fits and a checksum that is right."""
    names = [
        "base_offset",
        "length",
        "epoch",
        "magic",
        "crc",
        "attributes",
        "last",
        "first_ms",
        "max_ms",
        "id",
        "e",
        "s",
        "n",
    ]
    fields = dict(zip(names, HEADER.unpack_from(content), strict=True)) | {"length": len(content) - 12} | changes
    whole = bytearray(HEADER.pack(*fields.values()) + content[HEADER.size :])
    struct.pack_into(">I", whole, 17, changes.get("crc", calc_crc32c(memoryview(whole)[21:])))
    return bytes(whole)


def around(payload: bytes, *, count: int = 1, attributes: int = 0, last: int | None = None) -> bytes:
    """A batch at offset 10 of these bytes, whatever they are."""
    whole = batch((b"k", b"v", ()))[: HEADER.size] + payload
    return sealed(whole, base_offset=10, attributes=attributes, n=count, last=count - 1 if last is None else last)


def varint(number: int) -> bytes:
    found = bytearray()
    encode_varint(number, found.append)
    return bytes(found)


def one(name: bytes = b"h", *, offset: int = 0, count: int = 1, before: int = 0) -> bytes:
    """A record with a header; `before` is what its length claims too much."""
    content = b"\0" + varint(0) + varint(offset) + varint(1) + b"k" + varint(1) + b"v" + varint(count)
    content += varint(len(name)) + name + varint(1) + b"1"
    return varint(len(content) + before) + content


def reader(
    content: bytes, *, start: int = 0, doubted: set[Any] | None = None, made: Callable[..., Any] = Batches
) -> Any:
    more = {"doubted": set() if doubted is None else doubted} if made is Batches else {}
    return made(start, PLACE, MemoryRecords(content), check_crcs=True, **more)


def read(content: bytes, *, start: int = 0, doubted: set[Any] | None = None) -> tuple[list[Record], int]:
    """All of it, 2 at a time, and where the next fetch begins."""
    found, of_fetch = [], reader(content, start=start, doubted=doubted)
    while of_fetch:
        found += of_fetch.take(2)
    return found, of_fetch.next_fetch_offset


RECORDS = st.tuples(
    st.none() | st.binary(max_size=90),
    st.none() | st.binary(max_size=200),
    st.lists(st.tuples(st.text(max_size=5) | st.just("h" * 70), st.none() | st.binary(max_size=90)), max_size=3),
)


@settings(max_examples=50)
@given(
    batches=st.lists(
        st.tuples(st.lists(RECORDS, min_size=1, max_size=4), st.sampled_from([NONE, GZIP, SNAPPY, LZ4])), max_size=3
    ),
    start=st.integers(0, 5),
)
def test_whatever_the_producer_wrote_is_read_as_the_client_reads_it(batches: list[Any], start: int) -> None:
    content, base = b"", 0
    for records, codec in batches:
        content += batch(*records, base=base, codec=codec)
        base += len(records)
    theirs = reader(content, start=start, made=Fetcher.PartitionRecords)
    expected = [
        (raw.offset, raw.timestamp, raw.key, raw.headers, raw.value) for raw in (theirs.take(100) if content else [])
    ]
    found, following = read(content, start=start)
    assert [(r.offset, r.timestamp_ms, r.key, list(r.headers), r.value) for r in found] == expected
    assert not any(record.flaw for record in found)
    assert following == max(start, theirs.next_fetch_offset)


def bomb(codec: int) -> bytes:
    if codec in (GZIP, LZ4):
        pack = gzip.compress if codec == GZIP else lz4.frame.compress
        return bytes(pack(b"\0" * (UNPACKED_BYTES_MOST + 1), 1))
    return b"\xff\xff\xff\xff\x0f" + b"\0" * 100  # it says 4 GB


PACKED = "unreadable: record batch, compression"
XERIAL = b"\x82SNAPPY\0\0\0\0\1\0\0\0\1"
WHOLE = {
    "checksum": (sealed(around(one()), crc=1), "unreadable: record batch, checksum"),
    "no codec": (around(one(), attributes=ZSTD), PACKED),
    "no such codec": (around(one(), attributes=7), PACKED),
    "broken gzip": (around(b"junk", attributes=GZIP), PACKED),
    "half a gzip": (around(gzip.compress(one())[:-9], attributes=GZIP), PACKED),
    "broken snappy": (around(b"\x05junk", attributes=SNAPPY), PACKED),
    "no snappy": (around(b"", attributes=SNAPPY), PACKED),
    "snappy backwards": (around(XERIAL + b"\xff\xff\xff\xfc" * 9, attributes=SNAPPY), PACKED),
    "snappy of no bytes": (around(XERIAL + b"\0\0\0\0" * 200_000, attributes=SNAPPY), PACKED),
    "gzip bomb": (around(bomb(GZIP), attributes=GZIP), "too-large: record batch, size"),
    "lz4 bomb": (around(bomb(LZ4), attributes=LZ4), "too-large: record batch, size"),
    "half an lz4": (around(lz4.frame.compress(one())[:-9], attributes=LZ4), PACKED),
    "snappy bomb": (around(bomb(SNAPPY), attributes=SNAPPY), "too-large: record batch, size"),
    "snappy bomb in blocks": (
        around(XERIAL + (b"\0\0\0\5\xff\xff\xff\x0f\0") * 3, attributes=SNAPPY),
        "too-large: record batch, size",
    ),
    "an old format": (sealed(around(one()), magic=1), "unreadable: record batch, format"),
    "a format to come": (sealed(around(one()), magic=3), "unreadable: record batch, format"),
    "a length behind the end": (around(one(before=1)), "unreadable: record batch, form"),
    "a length below zero": (around(varint(-1) + one()), "unreadable: record batch, form"),
    "an endless number": (around(b"\xff" * 20), "unreadable: record batch, form"),
    "a header name": (around(one(b"\xff\xfe")), "unreadable: a header name is not UTF-8"),
    "billions of headers": (around(one(count=2**31)), "unreadable: record"),
    "headers below zero": (around(one(count=-1)), "unreadable: record"),
    "an offset behind": (around(one(offset=-11)), "unreadable: offset"),
    "an offset ahead": (around(one(offset=2**40)), "unreadable: offset"),
}  # fmt: skip


@pytest.mark.parametrize(("broken", "told"), WHOLE.values(), ids=WHOLE)
def test_what_is_broken_is_told_in_its_place_and_the_rest_is_read(broken: bytes, told: str) -> None:
    good = [batch((b"k", b"good", ()), base=base) for base in (9, 11)]
    found, following = read(good[0] + broken + good[1], start=9, doubted={(PLACE, 10)})
    assert [(record.offset, record.flaw) for record in found] == [(9, ""), (10, told), (11, "")]
    assert following == 12


def test_one_broken_record_leaves_the_others_of_its_batch() -> None:
    name, lying = one(b"\xff"), bytearray(one(offset=2))
    lying[4] = 100  # the key's length
    found, following = read(around(one() + name[:3] + varint(1) + name[4:] + bytes(lying) + one(offset=3), count=4))
    assert [(record.offset, record.flaw) for record in found] == [
        (10, ""), (11, "unreadable: a header name is not UTF-8"), (12, "unreadable: record"), (13, ""),
    ]  # fmt: skip
    assert found[1].headers == (("\\xff", b"1"),)
    assert following == 14


def test_of_a_batch_that_ends_in_junk_what_stands_before_is_read() -> None:
    found, following = read(around(one() + one(offset=1) + one(before=9), count=5))
    assert [(record.offset, record.flaw) for record in found] == [
        (10, ""), (11, ""), (14, "unreadable: record batch from offset 12, form"),
    ]  # fmt: skip
    assert following == 15


def test_the_same_place_is_told_wherever_the_fetch_began() -> None:
    broken = around(b"junk", count=5, attributes=GZIP)
    assert read(broken, start=10) == read(broken, start=13)
    assert read(broken, start=10)[0][0].offset == 14


def test_a_checksum_that_fails_once_is_fetched_again_before_it_counts() -> None:
    content, doubted = batch((b"k", b"good", ()), base=9) + sealed(around(one()), crc=1), set[Any]()
    found, following = read(content, doubted=doubted)
    assert ([record.offset for record in found], following) == ([9], 10)
    assert read(around(one()), start=10, doubted=doubted)[0][0].flaw == ""
    assert doubted == set()
    assert read(content, start=10, doubted={(PLACE, 10)})[1] == 11


def test_what_brokers_write_for_themselves_is_passed_over() -> None:
    marker = around(one(), attributes=0x20)
    assert [record.offset for record in read(marker + batch((b"k", b"v", ()), base=11))[0]] == [11]
    assert read(marker) == ([], 11)


def test_records_without_an_offset_of_their_own_are_left_out() -> None:
    found, following = read(around(one() + one(offset=1), count=2, last=0))
    assert ([record.offset for record in found], following) == ([10], 11)


def test_where_brokers_write_the_time_it_is_theirs() -> None:
    (found,), _ = read(sealed(around(one(), attributes=0x08), max_ms=1_800_000_000_000))
    assert found.timestamp_ms == 1_800_000_000_000


def test_a_fetch_never_leads_back_behind_where_it_began() -> None:
    assert read(batch((b"k", b"v", ()), base=9), start=20) == ([], 20)


def test_the_fetcher_is_told_the_leader_and_that_something_was_read() -> None:
    of_fetch = reader(sealed(around(one()), epoch=7))
    of_fetch.take(1)
    assert of_fetch.leader_epoch == 7
    assert of_fetch.bytes_read > 0


def test_what_is_no_batch_at_all_raises_once_and_ends() -> None:
    of_fetch = reader(batch((b"k", b"v", ())) + b"\0" * 11 + b"\2" + b"\0\0")
    assert len(of_fetch.take(10)) == 1
    with pytest.raises(theirs.CorruptRecordError):
        reader(b"\0" * 11 + b"\2" + b"\0\0").take(1)
    assert not of_fetch
