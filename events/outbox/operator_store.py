"""Operators' and consumers' statements on the outbox table. Those of publish and relay are in `store`.

They run on Django's own connection: `requeue`, `retention`, `erasure`, the command `outbox` and the doctor call them,
and `consume_events` hands `is_ours` on. None sets a record back, and none but `erasure`'s touches one that is pending.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from events.conf import DEAD_LETTERS
from events.envelope import Headers
from events.outbox.store import HAS_COPY, WAKE, OrderKey, decode_headers, encode_headers

_DEAD = "select id from events_outbox where dead_at is not null and topic = coalesce(%s, topic) order by id"

_KEYS = "select distinct topic, key from events_outbox where id = any(%s) and dead_at is not null"

# The very lock of publish(): what this transaction writes then comes behind whatever others wrote of the key.
_LOCK = """
select pg_advisory_xact_lock(hashtextextended(topic || '/' || key, 0))
from unnest(%s::text[], %s::text[]) as keys(topic, key)
"""

# A statement of its own, so that it sees what was committed while it waited for the locks. Defaults are drawn row by
# row after the sort: first the transaction's number, then the id. And, as publish() does: wake a relay that sleeps.
_COPY = f"""
insert into events_outbox (event_id, topic, key, shard, stream, version, type, headers, value, requeue_of)
select event_id, topic, key, shard, stream, version, type, headers, value, id
from events_outbox as dead
where id = any(%(ids)s) and dead_at is not null and (%(again)s or not {HAS_COPY})
order by id
returning requeue_of, {WAKE}
"""  # noqa: S608 - pieced together from constants

# Ids go with time, near enough: along the primary key the oldest come first, and no further index is needed. A copy
# stays while its dead record does: it alone says that this one was requeued, and need not be again.
_DELETE = """
with looked_at as (
    select id, created_at, published_at < %(before)s and dead_at is null and (requeue_of is null or not exists (
        select from events_outbox as dead where dead.id = record.requeue_of and dead.dead_at is not null
    )) as is_old
    from events_outbox as record where id > %(after)s order by id limit %(limit)s
), deleted as (
    delete from events_outbox as record using looked_at
    where record.id = looked_at.id and looked_at.is_old
    returning 1
)
select max(id), min(created_at), (select count(*) from deleted) from looked_at
"""

_STATUS = """
select topic, count(*) filter (where dead_at is null), count(*) filter (where dead_at is not null),
    extract(epoch from clock_timestamp() - min(created_at) filter (where dead_at is null))::float8
from events_outbox where (published_at is null and dead_at is null) or dead_at is not null group by topic order by topic
"""

_FOREIGN_NUMBERS = """
select count(*) from events_outbox
where published_at is null and dead_at is null and xid >= pg_snapshot_xmax(pg_current_snapshot())
"""


# By key, since an index on event_id would cost every mark; one look for each claim, however many there are (`offset 0`
# keeps these looks from becoming a join over the whole table). A dead letter's copy stands here too, and is whatever
# somebody wrote into the topic.
_IS_OURS = f"""
select event_id from unnest(%s::uuid[], %s::text[], %s::text[]) as claimed(event_id, key, type)
where exists (
    select from events_outbox as record
    where record.key = claimed.key and record.event_id = claimed.event_id and record.type = claimed.type
        and record.topic not like '%%{DEAD_LETTERS}'
    offset 0)
"""  # noqa: S608 - pieced together from constants

_SIZES = "select id, octet_length(headers) + octet_length(value) from events_outbox where key = %s order by id"

_CONTENTS = "select id, topic, key, headers, value from events_outbox where id = any(%s) order by id"

# Locked in the order of marks. Nothing else changes these columns, so what was read without a lock is what stands here.
_REPLACE = """
with locked as (select id from events_outbox where id = any(%(ids)s) order by id for update)
update events_outbox as record set headers = given.headers, value = given.value
from locked join unnest(%(ids)s::bigint[], %(headers)s::bytea[], %(values)s::bytea[]) as given(id, headers, value)
    using (id)
where record.id = locked.id
"""


class Content(NamedTuple):
    """What a record says, in whatever state it is."""

    id: int
    topic: str
    key: str
    headers: Headers
    value: bytes


class Looked(NamedTuple):
    """What one step of pruning did: the last id that it saw (None: there are no more), and how old the oldest was."""

    last_id: int | None
    oldest_at: datetime | None
    deleted: int


class TopicStatus(NamedTuple):
    """What one topic is owed; `oldest_s` is the age of its oldest pending record."""

    topic: str
    pending: int
    dead: int
    oldest_s: float | None


def dead_ids(*, topic: str | None) -> list[int]:
    """The ids of all dead records, or of those for one topic, in order."""
    return [record_id for (record_id,) in _rows(_DEAD, [topic])]


def keys_of_dead(ids: Collection[int]) -> set[OrderKey]:
    """The topics and keys of those of these records that are dead."""
    return {(topic, key) for topic, key in _rows(_KEYS, [list(ids)])}


def lock_keys(keys: Sequence[OrderKey]) -> None:
    """Take the lock of each key, in the order given, until the transaction ends."""
    _rows(_LOCK, [[topic for topic, _ in keys], [key for _, key in keys]])


def copy_dead(ids: Collection[int], *, again: bool) -> list[int]:
    """Insert a pending copy of each dead record, in the order of their ids; gives the ids that were copied.

    With `again` also of those that have a copy. Their keys must be locked.
    """
    rows = _rows(_COPY, {"ids": list(ids), "again": again})
    return sorted(requeued for requeued, _ in rows)


def delete_published(*, before: datetime, after: int, limit: int) -> Looked:
    """Look at `limit` records above the id `after`; delete those published `before` that are neither dead nor a copy.

    A copy, that is, of one that is dead still.
    """
    (row,) = _rows(_DELETE, {"before": before, "after": after, "limit": limit})
    return Looked(*row)


def status() -> list[TopicStatus]:
    """Each topic that is owed something, or has dead records."""
    return [TopicStatus(*row) for row in _rows(_STATUS)]


def foreign_numbers() -> int:
    """How many pending records have a transaction's number that this cluster has not given out yet."""
    ((records,),) = _rows(_FOREIGN_NUMBERS)
    return int(records)


def is_ours(claims: Sequence[tuple[UUID, str, str]]) -> set[UUID]:
    """Of these events (id, key, type), those that stand in the outbox as such: a dead letter's copy is not one."""
    rows = _rows(_IS_OURS, [list(column) for column in zip(*claims, strict=True)])
    return {event_id for (event_id,) in rows}


def sizes_of(key: str) -> list[tuple[int, int]]:
    """Id and bytes of each record of a key, of all topics and states, in the order of the ids."""
    return [(record_id, size) for record_id, size in _rows(_SIZES, [key])]


def contents(ids: Sequence[int]) -> list[Content]:
    """What these records say, in the order of their ids."""
    return [
        Content(record_id, topic, key, tuple(decode_headers(headers)), bytes(value))
        for record_id, topic, key, headers, value in _rows(_CONTENTS, [list(ids)])
    ]


def replace(records: Sequence[Content]) -> None:
    """Have these records say this instead. Their states stay as they are."""
    given: dict[str, Any] = {
        "ids": [record.id for record in records],
        "headers": [encode_headers(record.headers) for record in records],
        "values": [record.value for record in records],
    }
    with connection.cursor() as cursor:
        cursor.execute(_REPLACE, given)


def _rows(statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
