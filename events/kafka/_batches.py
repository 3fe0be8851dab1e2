"""Record batches as a fetch brings them, read record by record: part of `_consumer`, in place of the client's reader.

For that one a record that it cannot read is the end: it raises once, and from then on `poll` turns in circles for
ever; and it unpacks whatever a few bytes claim to be. Here each record is taken by its own length: what is wrong with
one becomes its `flaw`, and the next one is read. Of a batch that cannot be read one Record without content comes out,
at the batch's last offset: the group goes on behind it.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from kafka import errors as theirs  # type: ignore[import-untyped]  # ships no types
from kafka.consumer.fetcher import Fetcher  # type: ignore[import-untyped]  # as above

from events.kafka._records import Record, TooLarge, fields_of, place_of, unpacked

_FORMAT = 2  # since Kafka 0.11; from 4.0 on brokers take no other


def read_by_us(fetcher: Any) -> None:
    """Have a client's fetcher read batches through `Batches`."""
    fetcher.PartitionRecords = partial(Batches, doubted=set())


class Batches(Fetcher.PartitionRecords):  # type: ignore[misc]  # untyped base
    """What one fetch brought of a partition, as the fetcher takes it; gives our Records.

    `doubted`: the batches whose checksum failed once, by place. A fault on the way is gone when they are fetched again.
    """

    def __init__(self, *given: Any, doubted: set[tuple[Any, int]], **named: Any) -> None:
        self._doubted = doubted
        super().__init__(*given, **named)

    def _unpack_records(self, tp: Any, records: Any, *_: Any) -> Iterator[Record]:
        try:
            while (batch := records.next_batch()) is not None:
                flaw = _flaw_of(batch)
                if flaw == "checksum" and (tp, batch.base_offset) not in self._doubted:
                    self._doubted.add((tp, batch.base_offset))
                    break
                yield from self._read(tp, batch, flaw)
        except Exception as error:
            # Not even batches, which no producer can bring about. Drained, it is fetched again at the next poll.
            self.drain()
            raise theirs.CorruptRecordError("no batch of records") from error
        self.drain()

    def _read(self, tp: Any, batch: Any, flaw: str) -> Iterator[Record]:
        self._doubted.discard((tp, batch.base_offset))
        self.bytes_read += batch.size_in_bytes
        if batch.magic == _FORMAT:
            self.leader_epoch = batch.leader_epoch
        for record in [_nothing(tp, batch, flaw)] if flaw else _records(tp, batch):
            self.records_read += 1
            self.next_fetch_offset = record.offset + 1
            yield record
        # Compaction may have taken the last ones; what lies before the first one asked for is left out.
        self.next_fetch_offset = max(self.next_fetch_offset, self.fetch_offset, _last(batch) + 1)


def _flaw_of(batch: Any) -> str:
    if batch.magic != _FORMAT:
        return "format"
    return "" if batch.validate_crc() else "checksum"


def _last(batch: Any) -> int:
    # An older one's own offset is its last record's.
    last: int = batch.last_offset if batch.magic == _FORMAT else batch.base_offset
    return last


def _nothing(tp: Any, batch: Any, flaw: str, *, start: int | None = None) -> Record:
    """In place of all records of a batch, or of those from `start` on."""
    first, last = batch.base_offset if start is None else start, _last(batch)
    told = "record batch" if first == last else f"record batch from offset {first}"
    word = "too-large" if flaw == "size" else "unreadable"
    at_ms = batch.max_timestamp if batch.magic == _FORMAT else -1
    return Record(tp.topic, tp.partition, last, at_ms, None, (), None, f"{word}: {told}, {flaw}")


def _records(tp: Any, batch: Any) -> Iterator[Record]:
    if batch.is_control_batch:
        return
    try:
        buffer = unpacked(batch.compression_type, bytes(memoryview(batch._buffer)[batch._pos :]))  # noqa: SLF001 - the form
    except MemoryError:
        raise
    except TooLarge:
        yield _nothing(tp, batch, "size")
    except Exception:  # noqa: BLE001 - each codec raises in its own way, and one may not be there
        yield _nothing(tp, batch, "compression")
    else:
        yield from _one_by_one(tp, batch, buffer)


def _one_by_one(tp: Any, batch: Any, buffer: bytes) -> Iterator[Record]:
    following, last, at = batch.base_offset, batch.last_offset, 0
    for _ in range(batch.records_count):
        try:
            start, end = place_of(buffer, at)
        except (ValueError, IndexError):
            break
        record = _record(tp, batch, buffer[start:end], following)
        if record.offset > last:
            return  # more records than offsets: there is no place to tell it at
        following, at = record.offset + 1, end
        yield record
    if at < len(buffer) and following <= last:
        yield _nothing(tp, batch, "form", start=following)


def _record(tp: Any, batch: Any, content: bytes, following: int) -> Record:
    """At an offset that goes on from the last, whatever it says of itself: a poll that went back would never end."""
    try:
        offset, time, key, value, headers, flaw = fields_of(content)
    except (ValueError, IndexError):
        return Record(tp.topic, tp.partition, following, batch.max_timestamp, None, (), None, "unreadable: record")
    offset += batch.base_offset
    if not following <= offset <= batch.last_offset:
        offset, flaw = following, "unreadable: offset"
    at_ms = batch.max_timestamp if batch.timestamp_type else batch.first_timestamp + time
    return Record(tp.topic, tp.partition, offset, at_ms, key, headers, value, flaw)
