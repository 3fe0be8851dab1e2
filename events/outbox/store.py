"""Every statement on the outbox table; no other file has one.

`publish` inserts, `relay` reads the pending records and marks what Kafka acknowledged.
"""

from uuid import UUID

import msgspec
from django.db import connection

from events.envelope import Envelope, Headers
from events.event import Event
from events.kafka import murmur2

SHARDS = 64  # fixed for ever: the table's CHECK knows it too

# One statement takes, in this order, the transaction's number, the key's lock and (by the insert) the id: so that
# ids within a key follow commit order. The lock is per topic and key; it ends with the transaction.
_INSERT = """
insert into events_outbox (event_id, topic, key, shard, stream, version, type, headers, value)
select %(event_id)s, %(topic)s, %(key)s, %(shard)s, %(stream)s, %(version)s, %(type)s, %(headers)s, %(value)s
from (select pg_current_xact_id(), pg_advisory_xact_lock(hashtextextended(%(topic)s || '/' || %(key)s, 0)))
     as taken(xid, locked)
where xid is not null
returning xid::text::bigint
"""


def insert(event: Event, *, event_id: UUID, envelope: Envelope) -> int:
    """Write one record; gives the number of the transaction."""
    values = {
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


def shard_of(key: str) -> int:
    """The share of keys that `key` belongs to: Java's murmur2 of it, made positive, modulo 64."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % SHARDS


def encode_headers(headers: Headers) -> bytes:
    """Headers as the column keeps them: a JSON array of [name, text] pairs."""
    return msgspec.json.encode([(name, value.decode()) for name, value in headers])


def decode_headers(column: bytes) -> Headers:
    """The headers that `encode_headers` kept."""
    return [(name, value.encode()) for name, value in msgspec.json.decode(column, type=list[tuple[str, str]])]
