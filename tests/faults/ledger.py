"""The load's own ledger, and the judge who compares it with what a plain consumer finds in Kafka.

`writer` notes each event in the transaction that publishes it. No code is shared with the relay or with
`events.kafka`: the consumer is the Kafka client alone, and the bytes that must arrive are put together here.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg
from kafka import KafkaConsumer, TopicPartition  # type: ignore[import-untyped]  # ships no types

TYPE = "load.written"
_SHOWN = 5
_ON_ITS_WAY_S = 3.0  # from being sent to being marked, behind a backlog

# `n` counts a key's events in commit order: publish() holds the key's lock from before this count to the commit.
_TABLES = (
    "create table ledger_heads (key text primary key, n bigint not null)",
    "create table ledger (key text not null, n bigint not null, mark text primary key, value bytea not null)",
)
NOTE = """
with head as (
    insert into ledger_heads values (%(key)s, 1)
    on conflict (key) do update set n = ledger_heads.n + 1 returning n
)
insert into ledger select %(key)s, n, %(mark)s, %(value)s from head
"""
_ALL = "select key, n, mark, value from ledger order by key, n"


class LedgerBroken(AssertionError):
    """An invariant does not hold; the message counts, and shows the first few."""


@dataclass(frozen=True, slots=True)
class Written:
    """The `n`th committed event of its key; `mark` tells it from all others."""

    key: str
    n: int
    mark: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """One record as it lies in Kafka; `sent_ms` is its sender's clock."""

    partition: int
    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    value: bytes
    sent_ms: int

    @property
    def mark(self) -> str | None:
        """Which written event it claims to be."""
        try:
            return str(json.loads(self.value)["mark"])
        except (ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Fault:
    """From when to when something was broken, on the wall clock; `until_s` includes the time to recover."""

    since_s: float
    until_s: float

    def explains(self, copies: Iterable[Delivery]) -> bool:
        """Whether the record may have been on its way when this began or while it lasted, and was sent again after."""
        sent_s = sorted(copy.sent_ms / 1000 for copy in copies)
        return self.since_s - _ON_ITS_WAY_S <= sent_s[0] <= self.until_s and sent_s[-1] >= self.since_s


@dataclass(slots=True)
class Verdict:
    """What came of the load. `duplicates` is a number to report; of everything else there must be none."""

    written: int = 0
    delivered: int = 0
    lost: list[Written] = field(default_factory=list)
    reordered: list[Written] = field(default_factory=list)
    corrupted: list[Delivery] = field(default_factory=list)
    unwritten: list[Delivery] = field(default_factory=list)
    duplicates: list[Sequence[Delivery]] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, int]:
        """Each as a number; `duplicates` counts every delivery after the first."""
        counted = {name: len(getattr(self, name)) for name in ("lost", "reordered", "corrupted", "unwritten")}
        duplicates = sum(len(copies) - 1 for copies in self.duplicates)
        return {"written": self.written, "delivered": self.delivered, **counted, "duplicates": duplicates}

    def unexplained(self, faults: Collection[Fault]) -> list[Sequence[Delivery]]:
        """The duplicates that were on their way at no fault."""
        return [copies for copies in self.duplicates if not any(fault.explains(copies) for fault in faults)]

    @property
    def wrong(self) -> dict[str, list[Any]]:
        """What is not as it must be; empty when all arrived, whole, each key in its order, and nothing else did."""
        return {name: found for name in _INVARIANTS if (found := getattr(self, name))}

    def raise_if_broken(self) -> None:
        """Raise LedgerBroken where anything is wrong."""
        if self.wrong:
            shown = [f"{name}: {len(found)}, first {found[:_SHOWN]}" for name, found in self.wrong.items()]
            raise LedgerBroken("\n".join([str(self.figures), *shown]))


_INVARIANTS = ("lost", "reordered", "corrupted", "unwritten")


def value_of(*, key: str, mark: str, text: str) -> bytes:
    """The bytes that an event of the load must have in Kafka."""
    return json.dumps({"of": key, "mark": mark, "text": text}, ensure_ascii=False, separators=(",", ":")).encode()


def create_ledger(database_url: str) -> None:
    """Make the tables, empty."""
    drop_ledger(database_url)
    with psycopg.connect(database_url) as connection:
        for table in _TABLES:
            connection.execute(table)


def drop_ledger(database_url: str) -> None:
    """Remove the tables."""
    with psycopg.connect(database_url) as connection:
        connection.execute("drop table if exists ledger_heads, ledger")


def read_ledger(database_url: str) -> list[Written]:
    """What was committed, each key's in order."""
    with psycopg.connect(database_url) as connection:
        return [Written(*row) for row in connection.execute(_ALL)]


def read_kafka(*, brokers: str, topic: str) -> list[Delivery]:
    """Everything that lies in the topic now, partition by partition in the order of offsets."""
    with closing(KafkaConsumer(bootstrap_servers=brokers, reconnect_backoff_max_ms=1000)) as reader:
        places = [TopicPartition(topic, partition) for partition in sorted(reader.partitions_for_topic(topic) or ())]
        reader.assign(places)
        reader.seek_to_beginning()
        ends = reader.end_offsets(places)
        found: dict[int, list[Delivery]] = {place.partition: [] for place in places}
        while any(reader.position(place) < ends[place] for place in places):
            for place, records in reader.poll(timeout_ms=1000).items():
                found[place.partition] += map(_delivery, records)
    return [delivery for partition in sorted(found) for delivery in found[partition]]


def _delivery(record: Any) -> Delivery:
    return Delivery(
        record.partition, record.offset, record.key, tuple(record.headers), record.value or b"", record.timestamp
    )


def judge(written: Iterable[Written], deliveries: Iterable[Delivery]) -> Verdict:
    """Compare the two; `deliveries` in the order of offsets within each partition."""
    expected = {entry.mark: entry for entry in written}
    copies: dict[str, list[Delivery]] = defaultdict(list)
    verdict = Verdict(written=len(expected))
    for delivery in deliveries:
        verdict.delivered += 1
        mark = delivery.mark
        if mark in expected:
            copies[mark].append(delivery)
        else:
            verdict.unwritten.append(delivery)
    verdict.lost = [entry for mark, entry in expected.items() if mark not in copies]
    verdict.reordered = _reordered((expected[mark], arrived[0]) for mark, arrived in copies.items())
    verdict.corrupted = [
        copy for mark, arrived in copies.items() for copy in arrived if not _is_whole(copy, arrived[0], expected[mark])
    ]
    verdict.duplicates = [arrived for arrived in copies.values() if len(arrived) > 1]
    return verdict


def _reordered(firsts: Iterable[tuple[Written, Delivery]]) -> list[Written]:
    """Those that came after a later one of their key, or to another partition than the key's first."""
    highest: dict[str, tuple[int, int]] = {}
    found = []
    for entry, delivery in firsts:
        partition, n = highest.get(entry.key, (delivery.partition, 0))
        if delivery.partition != partition or entry.n < n:
            found.append(entry)
        highest[entry.key] = partition, max(n, entry.n)
    return found


def _is_whole(copy: Delivery, first: Delivery, entry: Written) -> bool:
    headers = dict(copy.headers)
    return (
        (copy.key, copy.value) == (entry.key.encode(), entry.value)
        and all(headers.get(name) == value for name, value in _headers_of(entry).items())
        and headers.keys() == _HEADERS
        and copy.headers == first.headers
    )


def _headers_of(entry: Written) -> Mapping[str, bytes]:
    return {
        "ce_specversion": b"1.0",
        "ce_type": TYPE.encode(),
        "ce_subject": entry.key.encode(),
        "content-type": b"application/json",
    }


_HEADERS = {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_dataschema"}
_HEADERS |= {"content-type", "traceparent"}
