"""Records in the form in which brokers keep them: part of `_batches`. Pure: bytes in, values out.

Source: https://kafka.apache.org/documentation/#recordbatch.
"""

import zlib
from typing import Any

import kafka.codec as codecs  # type: ignore[import-untyped]  # ships no types
import msgspec
from kafka.record.util import decode_varint  # type: ignore[import-untyped]  # as above

from events.envelope import Headers

# A batch is packed into 1 MB or so, of events that pack to a tenth or a twentieth; what unpacks to more is a trap.
UNPACKED_BYTES_MOST = 64 * 1024 * 1024

_XERIAL = b"\x82SNAPPY\x00"  # Java's framing of snappy blocks
_XERIAL_HEADER_BYTES = 16

Fields = tuple[int, int, bytes | None, bytes | None, Headers, str]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as it was read; `timestamp_ms` is Kafka's, in milliseconds since 1970 UTC.

    `flaw`, where set, is why it could not be read whole: a stable word, a colon and the part.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    headers: Headers
    value: bytes | None
    flaw: str = ""


class TooLarge(Exception):
    """A batch unpacks to more than any of ours."""


def unpacked(codec: int, packed: bytes) -> bytes:
    """The records of a batch, packed by `codec`. Raises TooLarge, or whatever that codec raises."""
    match codec:
        case 0:
            return packed
        case 1:
            return _bounded(zlib.decompressobj(zlib.MAX_WBITS | 16), packed)
        case 2:
            return _unsnap(packed)
        case 3:
            return _bounded(codecs.lz4.LZ4FrameDecompressor(), packed)
    raise ValueError(f"codec {codec}")


def place_of(buffer: bytes, at: int) -> tuple[int, int]:
    """Start and end of the record whose length stands there. Raises ValueError, IndexError."""
    length, start = decode_varint(buffer, at)
    if not 0 < length <= len(buffer) - start:
        raise ValueError("length")
    return start, start + length


def fields_of(content: bytes) -> Fields:
    """Offset and time, counted from the batch's, key, value, headers and flaw. Raises ValueError, IndexError.

    Only the record's own bytes are given: whatever its numbers claim, reading ends there.
    """
    time_delta, at = decode_varint(content, 1)  # attributes come first: there are none
    offset_delta, at = decode_varint(content, at)
    key, at = _bytes(content, at)
    value, at = _bytes(content, at)
    count, at = decode_varint(content, at)
    headers, flaw, at = _headers(content, at, count)
    if at != len(content):
        raise ValueError("length")
    return offset_delta, time_delta, key, value, headers, flaw


def _headers(buffer: bytes, at: int, count: int) -> tuple[Headers, str, int]:
    """Lengths of one byte, which most are, are read here: half of a record's time goes into its headers."""
    headers: list[tuple[str, Any]] = []  # None for a value is refused when the record is opened
    flaw = ""
    for _ in range(count):
        size = buffer[at]
        size, at = decode_varint(buffer, at) if size & 0x81 else (size >> 1, at + 1)
        if size < 0:
            raise ValueError("header")
        encoded = buffer[at : at + size]
        at += size
        try:
            name = encoded.decode()
        except UnicodeDecodeError:
            name, flaw = encoded.decode(errors="backslashreplace"), "unreadable: a header name is not UTF-8"
        size = buffer[at]
        size, at = decode_varint(buffer, at) if size & 0x81 else (size >> 1, at + 1)
        if size < 0:
            headers.append((name, None))
        else:
            headers.append((name, buffer[at : at + size]))
            at += size
    return tuple(headers), flaw, at


def _bytes(buffer: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = decode_varint(buffer, at)
    return (None, at) if size < 0 else (buffer[at : at + size], at + size)


def _bounded(codec: Any, packed: bytes) -> bytes:
    found: bytes = codec.decompress(packed, UNPACKED_BYTES_MOST + 1)
    if len(found) > UNPACKED_BYTES_MOST:
        raise TooLarge
    if not codec.eof:
        raise ValueError("ends early")
    return found


def _unsnap(packed: bytes) -> bytes:
    blocks = _xerial_blocks(packed) if packed.startswith(_XERIAL) else [packed]
    if sum(map(_declared, blocks)) > UNPACKED_BYTES_MOST:
        raise TooLarge
    return b"".join(codecs.snappy.decompress(block) for block in blocks)


def _xerial_blocks(packed: bytes) -> list[bytes]:
    blocks, at = [], _XERIAL_HEADER_BYTES
    while at < len(packed):
        size = int.from_bytes(packed[at : at + 4], "big")
        blocks.append(packed[at + 4 : at + 4 + size])
        at += 4 + size
    return blocks


def _declared(block: bytes) -> int:
    """What a block of snappy says it unpacks to, in its first bytes."""
    size = 0
    for position, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << 7 * position
        if not byte & 0x80:
            return size
    raise ValueError("no length")
