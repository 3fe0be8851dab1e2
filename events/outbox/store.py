"""Every statement on the outbox table; no other file has one.

`publish` inserts; `reader` asks for the pending records, and `relay` marks what Kafka acknowledged, postpones what
the broker refuses and buries what it refused too often.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from django.db import InterfaceError, OperationalError, connection
from django.db.backends.utils import CursorWrapper

from events.envelope import Envelope, Headers
from events.errors import Transient
from events.event import Event
from events.kafka import Acknowledged, murmur2

OrderKey = tuple[str, str]  # topic and key: what keeps its order

SHARDS = 64  # fixed for ever: the table's CHECK knows it too

# One statement takes, in this order, the transaction's number, the key's lock and (by the insert) the id: so that
# ids within a key follow commit order. The lock is per topic and key; it ends with the transaction.
# At last the shard's flag (`wakeup`): where a sleeping relay has it up, this transaction's commit wakes it.
_INSERT = """
insert into events_outbox (event_id, topic, key, shard, stream, version, type, headers, value)
select %(event_id)s, %(topic)s, %(key)s, %(shard)s, %(stream)s, %(version)s, %(type)s, %(headers)s, %(value)s
from (select pg_current_xact_id(), pg_advisory_xact_lock(hashtextextended(%(topic)s || '/' || %(key)s, 0)))
     as taken(xid, locked)
where xid is not null
returning xid::text::bigint,
    case when not pg_try_advisory_xact_lock_shared(1869968387, shard) then pg_notify('events_outbox', shard::text) end
"""

_PENDING = """
select id, event_id, attempts, topic, key, headers, value
from events_outbox as record
where published_at is null and dead_at is null and id <> all(%(taken)s)
    and not exists (
        select from unnest(%(held_topics)s::text[], %(held_keys)s::text[]) as held(topic, key)
        where held.topic = record.topic and held.key = record.key
    )
order by id limit %(limit)s
"""

_HELD_BACK = """
select topic, key, extract(epoch from next_attempt_at - clock_timestamp())::float
from events_outbox
where published_at is null and dead_at is null and next_attempt_at > clock_timestamp()
"""

# Sorted, so that two relays' marks cannot deadlock; the first mark wins.
_MARK = """
update events_outbox as record
set published_at = clock_timestamp(), partition = acknowledged.partition, "offset" = acknowledged.at
from unnest(%s::bigint[], %s::int[], %s::bigint[]) as acknowledged(id, partition, at)
where record.id = acknowledged.id and record.published_at is null
"""

_POSTPONE = """
update events_outbox
set attempts = attempts + 1, error = %s, next_attempt_at = clock_timestamp() + make_interval(secs => %s)
where id = %s and published_at is null
"""

_BURY = """
update events_outbox
set attempts = attempts + 1, error = %s, next_attempt_at = null, dead_at = clock_timestamp()
where id = %s and published_at is null
"""


class DatabaseAway(Transient):
    """PostgreSQL did not answer, or ended the session."""


@dataclass(frozen=True, slots=True)
class Pending:
    """One record that Kafka has not acknowledged; `attempts` counts how often it was refused."""

    id: int
    event_id: UUID
    attempts: int
    envelope: Envelope

    @property
    def order_key(self) -> OrderKey:
        """Records that share it must arrive in the order of their ids."""
        return self.envelope.topic, self.envelope.key

    @property
    def traceparent(self) -> str | None:
        """The trace of the change that published it."""
        return next((value.decode() for name, value in self.envelope.headers if name == "traceparent"), None)


def insert(event: Event, *, event_id: UUID, envelope: Envelope) -> int:
    """Write one record; gives the number of the transaction."""
    values: dict[str, Any] = {
        "event_id": event_id,
        "topic": envelope.topic,
        "key": envelope.key,
        "shard": shard_of(envelope.key),
        "stream": event.stream,
        "version": event.stream_version,
        "type": event.type,
        "headers": encode_headers(envelope.headers),
        "value": envelope.value,
    }
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
        return int(cursor.fetchone()[0])


def pending(*, limit: int, taken: Collection[int], held: Collection[OrderKey]) -> list[Pending]:
    """The lowest pending records but for those taken and those of a held key. Raises DatabaseAway."""
    values: dict[str, Any] = {
        "limit": limit,
        "taken": list(taken),
        "held_topics": [topic for topic, _ in held],
        "held_keys": [key for _, key in held],
    }
    with _relays_cursor() as cursor:
        cursor.execute(_PENDING, values)
        return [_pending(row) for row in cursor.fetchall()]


def held_back() -> dict[OrderKey, float]:
    """The keys whose first record was refused, with the seconds until its next attempt. Raises DatabaseAway."""
    with _relays_cursor() as cursor:
        cursor.execute(_HELD_BACK)
        return {(topic, key): wait_s for topic, key, wait_s in cursor.fetchall()}


def mark(acknowledged: Mapping[int, Acknowledged]) -> None:
    """Set records published, by id, with their place in Kafka. Raises DatabaseAway."""
    places = sorted(acknowledged.items())
    ids = [record_id for record_id, _ in places]
    with _relays_cursor() as cursor:
        cursor.execute(_MARK, [ids, [at.partition for _, at in places], [at.offset for _, at in places]])


def postpone(record_id: int, *, error: str, wait_s: float) -> None:
    """Count one attempt; the next is due after `wait_s`. Raises DatabaseAway."""
    with _relays_cursor() as cursor:
        cursor.execute(_POSTPONE, [error, wait_s, record_id])


def bury(record_id: int, *, error: str) -> None:
    """Count the last attempt and set the record dead. Raises DatabaseAway."""
    with _relays_cursor() as cursor:
        cursor.execute(_BURY, [error, record_id])


@contextmanager
def _relays_cursor() -> Iterator[CursorWrapper]:
    """A cursor; whatever ended its session, the next one gets a new session."""
    try:
        with connection.cursor() as cursor:
            yield cursor
    except (OperationalError, InterfaceError) as error:
        connection.close()
        raise DatabaseAway(type(error).__name__) from error


def _pending(row: tuple[Any, ...]) -> Pending:
    record_id, event_id, attempts, topic, key, headers, value = row
    return Pending(record_id, event_id, attempts, Envelope(topic, key, decode_headers(headers), value))


def shard_of(key: str) -> int:
    """The share of keys that `key` belongs to: Java's murmur2 of it, made positive, modulo 64."""
    positive: int = murmur2(key.encode()) & 0x7FFFFFFF
    return positive % SHARDS


def encode_headers(headers: Headers) -> bytes:
    """Headers as the column keeps them: a JSON array of [name, text] pairs."""
    return msgspec.json.encode([(name, value.decode()) for name, value in headers])


def decode_headers(column: bytes) -> Headers:
    """The headers that `encode_headers` kept."""
    return [(name, value.encode()) for name, value in msgspec.json.decode(column, type=list[tuple[str, str]])]
