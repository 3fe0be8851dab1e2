"""Every statement on the outbox table, but for operators' (`operator_store`); no other file has one.

`publish` inserts, in the caller's transaction. The rest runs in the relay's own sessions: `reader` asks for what is
newly visible, `marker` marks what Kafka acknowledged, `pipeline` postpones what the broker refuses and buries what it
refused too often. Why the reading statement is as it is: docs/decisions/reader.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from events.envelope import Envelope, Headers, traceparent_of
from events.kafka import murmur2
from events.outbox.session import Session

OrderKey = tuple[str, str]  # topic and key: what keeps its order

SHARDS = 64  # fixed for ever: the table's CHECK knows it too

# A lock class of the two-number space, as in `shards`: a sleeping relay has its shards' flags up (`wakeup`). What every
# insert returns: where the flag is up, this transaction's commit wakes that relay.
FLAG, CHANNEL = 0x6F757403, "events_outbox"
WAKE = f"case when not pg_try_advisory_xact_lock_shared({FLAG}, shard) then pg_notify('{CHANNEL}', shard::text) end"

# One statement takes, in this order, the transaction's number, the key's lock and (by the insert) the id: so that
# ids within a key follow commit order. The lock is per topic and key; it ends with the transaction.
_INSERT = f"""
insert into events_outbox (event_id, topic, key, shard, stream, version, type, headers, value)
select %(event_id)s, %(topic)s, %(key)s, %(shard)s, %(stream)s, %(version)s, %(type)s, %(headers)s, %(value)s
from (select pg_current_xact_id(), pg_advisory_xact_lock(hashtextextended(%(topic)s || '/' || %(key)s, 0)))
     as taken(xid, locked)
where xid is not null
returning xid::text::bigint, {WAKE}
"""  # noqa: S608 - pieced together from constants

_COLUMNS = """
id, shard, topic, key, attempts, extract(epoch from next_attempt_at - clock_timestamp())::float8 as wait_s,
extract(epoch from created_at)::float8 as created_at, event_id, headers, value,
octet_length(headers) + octet_length(value) + 200 as bytes
"""
_IS_PENDING = "published_at is null and dead_at is null"
HAS_COPY = "exists (select from events_outbox as copy where copy.key = dead.key and copy.requeue_of = dead.id)"

# Above `high`: the next ones. Up to `high`: those whose transaction was not visible in the read before this one;
# none of them can lie below the floors of the transactions that were running then and have ended since.
# Both from one snapshot, which comes along. The running sum holds a read within its bytes, but gives one row at least.
READ = f"""
select case when it.id is null or it.running = it.bytes then pg_current_snapshot()::text end, it.*
from (select 1) as one left join (
    select * from (
        select *, sum(bytes) over (order by id)::bigint as running from (
            (
                select {_COLUMNS} from events_outbox
                where {_IS_PENDING} and shard = any(%(mine)s) and id <= %(high)s
                    and not pg_visible_in_snapshot(xid, %(before)s::pg_snapshot)
                    and id > (
                        select least(%(floor)s::bigint, min(floors.floor))
                        from unnest(%(running)s::bigint[], %(floors)s::bigint[]) as floors(xid, floor)
                        where pg_visible_in_snapshot(floors.xid::text::xid8, pg_current_snapshot())
                    )
                order by id limit %(limit)s
            )
            union all
            (
                select {_COLUMNS} from events_outbox
                where {_IS_PENDING} and shard = any(%(mine)s) and id > %(high)s
                order by id limit %(limit)s
            )
        ) as late_and_next
    ) as counted
    where running - bytes < %(bytes_most)s
) as it on true
order by it.id
"""  # noqa: S608 - pieced together from constants

# Whatever the statistics say, `offset 0` leaves it the key's index alone: any other would be read whole for each key.
_IDS_OF_KEYS = f"""
select held.topic, held.key, array(
    select id from (select * from events_outbox as record where record.key = held.key offset 0) as of_key
    where of_key.topic = held.topic and id > held.after and {_IS_PENDING}
    order by id limit %(limit_each)s
)
from unnest(%(topics)s::text[], %(keys)s::text[], %(after)s::bigint[]) as held(topic, key, after)
"""  # noqa: S608 - as above

_BY_ID = f"""
select * from (
    select *, sum(bytes) over (order by id)::bigint as running from (
        select {_COLUMNS} from events_outbox where id = any(%(ids)s) and {_IS_PENDING}
    ) as them
) as counted
where running - bytes < %(bytes_most)s
order by id
"""  # noqa: S608 - as above

# Sorted, so that two relays' marks cannot deadlock; the first mark wins. What another relay has buried meanwhile has
# arrived after all.
_MARK = """
with marked as (
    update events_outbox as record
    set published_at = clock_timestamp(), partition = acknowledged.partition, "offset" = acknowledged.at, dead_at = null
    from unnest(%s::bigint[], %s::int[], %s::bigint[]) as acknowledged(id, partition, at)
    where record.id = acknowledged.id and record.published_at is null
    returning 1
)
select count(*), pg_current_xact_id()::text::bigint from marked
"""

_POSTPONE = """
update events_outbox as record
set attempts = attempts + 1, error = %s, next_attempt_at = clock_timestamp() + make_interval(secs => refused.wait_s)
from unnest(%s::bigint[], %s::float8[]) as refused(id, wait_s)
where record.id = refused.id and published_at is null
"""

_BURY = """
update events_outbox
set attempts = attempts + 1, error = %s, next_attempt_at = null, dead_at = clock_timestamp()
where id = any(%s::bigint[]) and published_at is null
"""

# A restored outbox brings transaction numbers of another cluster, which lie in the future of this one and would look
# late at every read. 3 is the first number that a transaction may have.
_FORGET_FOREIGN_NUMBERS = f"""
update events_outbox set xid = '3' where {_IS_PENDING} and xid >= pg_current_xact_id()
"""  # noqa: S608 - as above

_BACKLOG = f"""
select count(*), coalesce(extract(epoch from clock_timestamp() - min(created_at))::float8, 0),
    (select count(*) from events_outbox as dead where dead_at is not null and not {HAS_COPY})
from (select created_at from events_outbox where {_IS_PENDING} order by id limit %s) as lowest
"""  # noqa: S608 - as above

_IS_ANY_PENDING = f"select exists (select from events_outbox where {_IS_PENDING})"  # noqa: S608 - as above

_Header = tuple[str, bytes]
_headers = msgspec.msgpack.Decoder(list[_Header])


class NewRecord(NamedTuple):
    """What is to be written; `stream` and `version` where it announces the change of a row."""

    event_id: UUID
    type: str
    envelope: Envelope
    stream: str | None = None
    version: int | None = None


class Pending(NamedTuple):
    """One record that Kafka has not acknowledged; `attempts` counts how often it was refused."""

    id: int
    shard: int
    topic: str
    key: str
    attempts: int
    wait_s: float | None  # until its next attempt, where it was refused
    created_at: float  # seconds since 1970
    event_id: UUID
    kept_headers: bytes
    value: bytes
    bytes: int

    @property
    def order_key(self) -> OrderKey:
        """Records that share it must arrive in the order of their ids."""
        return self.topic, self.key

    @property
    def headers(self) -> list[_Header]:
        """As Kafka gets them."""
        return _headers.decode(self.kept_headers)

    @property
    def traceparent(self) -> str | None:
        """The trace of the change that published it."""
        return traceparent_of(self.headers)


class Mark(NamedTuple):
    """Where Kafka put a record, which the outbox does not know yet."""

    id: int
    shard: int
    partition: int
    offset: int


class Seen(NamedTuple):
    """What one reading statement saw: its snapshot, and records in the order of their ids."""

    snapshot: str
    records: list[Pending]
    bytes: int


def insert(record: NewRecord) -> int:
    """Write one record; gives the number of the transaction."""
    envelope = record.envelope
    values = record._asdict() | {
        "topic": envelope.topic, "key": envelope.key, "shard": shard_of(envelope.key),
        "headers": encode_headers(envelope.headers), "value": envelope.value,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
        return int(cursor.fetchone()[0])


def read(session: Session, wanted: Mapping[str, Any]) -> Seen:
    """Late and next records; `wanted` has the parameters of READ. Raises DatabaseAway."""
    rows = session.run(READ, wanted)
    if rows[0][1] is None:
        return Seen(rows[0][0], [], 0)
    return Seen(rows[0][0], [Pending._make(row[1:12]) for row in rows], rows[-1][12])


def ids_of_keys(
    session: Session, keys: Sequence[OrderKey], *, after: Sequence[int], limit_each: int
) -> dict[OrderKey, list[int]]:
    """By key the ids of its pending records above its `after`, in order. Raises DatabaseAway."""
    topics, names = [topic for topic, _ in keys], [key for _, key in keys]
    wanted = {"topics": topics, "keys": names, "after": after, "limit_each": limit_each}
    return {(topic, key): ids for topic, key, ids in session.run(_IDS_OF_KEYS, wanted)}


def by_id(session: Session, ids: Sequence[int], *, bytes_most: int) -> list[Pending]:
    """The pending ones of these, in order, as many as their bytes allow and one at least. Raises DatabaseAway."""
    rows = session.run(_BY_ID, {"ids": list(ids), "bytes_most": bytes_most})
    return [Pending._make(row[:11]) for row in rows]


def mark(session: Session, marks: Iterable[Mark]) -> int:
    """Set records published, with their place in Kafka; gives the transaction's number. Raises DatabaseAway."""
    owed = sorted(marks)
    columns = [[one.id for one in owed], [one.partition for one in owed], [one.offset for one in owed]]
    ((_, number),) = session.run(_MARK, columns)
    return int(number)


def take_number(session: Session) -> int:
    """The number of a transaction that begins now. Raises DatabaseAway."""
    ((number,),) = session.run("select pg_current_xact_id()::text::bigint")
    return int(number)


def postpone(session: Session, waits_s: Mapping[int, float], *, error: str) -> None:
    """Count one attempt of each of these ids; the next is due after so long. Raises DatabaseAway."""
    ids = sorted(waits_s)
    session.run(_POSTPONE, [error, ids, [waits_s[record_id] for record_id in ids]])


def bury(session: Session, ids: Sequence[int], *, error: str) -> None:
    """Count the last attempt of each, and set them dead. Raises DatabaseAway."""
    session.run(_BURY, [error, ids])


def forget_foreign_numbers(session: Session) -> None:
    """Make a restored outbox readable. Raises DatabaseAway."""
    session.run(_FORGET_FOREIGN_NUMBERS)


def is_empty(session: Session) -> bool:
    """Whether nothing is pending. Raises DatabaseAway."""
    ((is_pending,),) = session.run(_IS_ANY_PENDING)
    return not is_pending


class Backlog(NamedTuple):
    """How many records are pending, the oldest one's age in seconds or 0, and how many are dead and not requeued."""

    pending: int
    oldest_s: float
    dead: int


def backlog(session: Session, *, at_most: int) -> Backlog:
    """Pending ones are counted up to `at_most`. Raises DatabaseAway."""
    (counted,) = session.run(_BACKLOG, [at_most])
    return Backlog(*counted)


def shard_of(key: str) -> int:
    """The share of keys that `key` belongs to: Java's murmur2 of it, made positive, modulo 64."""
    positive: int = murmur2(key.encode()) & 0x7FFFFFFF
    return positive % SHARDS


def encode_headers(headers: Headers) -> bytes:
    """Headers as the column keeps them: MessagePack of [name, bytes] pairs, which the relay reads fastest."""
    return msgspec.msgpack.encode(list(headers))


def decode_headers(column: bytes) -> Headers:
    """The headers that `encode_headers` kept."""
    return _headers.decode(column)
