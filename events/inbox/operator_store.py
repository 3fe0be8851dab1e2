"""Operators' statements on the inbox, its horizon and parked deliveries; those of the consumer are in `store`.

`dead_letters`, `retention` and `erasure` run them, and the consumer counts by them for its metrics.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from events.envelope import Headers
from events.inbox.store import Queue, encode_headers, rows, run
from events.models import TIMELESS_FROM, ParkedDelivery

_REPLAY = """
update events_parked set attempts = 0, dead_at = null, next_attempt_at = clock_timestamp()
where id in (select id from events_parked where id = any(%s) and dead_at is not null order by id for update)
returning id
"""

_DISCARD = """
delete from events_parked where id in (
    select id from events_parked
    where id = any(%s) and (dead_at is not null or handler <> all(%s)) order by id for update)
returning id, "group", handler, key
"""

_COUNT = """
with holding as (
    select handler, key, min(id) as id from events_parked
    where "group" = %(group)s and dead_at is not null and handler <> '' and handler <> all(%(going_on)s)
    group by handler, key
)
select count(*) filter (where dead_at is not null), count(*) filter (where next_attempt_at is not null),
    count(*) filter (where dead_at is null and next_attempt_at is null),
    count(*) filter (where dead_at is null and next_attempt_at is null and holding.id < parked.id)
from events_parked as parked left join holding using (handler, key) where "group" = %(group)s
"""

# One after the other by the primary key: there is no list of groups, and never many.
_NEXT_GROUP = 'select min("group") from events_inbox where "group" > %s'

_MOVE_HORIZON = """
insert into events_inbox_horizon as horizon ("group", before) values (%s, %s)
on conflict ("group") do update set before = greatest(horizon.before, excluded.before)
"""

# Along the primary key, which goes by time: the boundary is the least id of that time. What was received late is kept
# as long as what was received in time.
_FORGET_EVENTS = """
with looked_at as (
    select event_id, received_at < %(before)s as is_old from events_inbox
    where "group" = %(group)s and event_id > %(after)s and event_id < %(boundary)s order by event_id limit %(limit)s
), forgotten as (
    delete from events_inbox as record using looked_at
    where record."group" = %(group)s and record.event_id = looked_at.event_id and looked_at.is_old
    returning 1
)
select (select count(*) from forgotten), (select event_id from looked_at order by event_id desc limit 1)
"""

_FORGET_TIMELESS = """
delete from events_inbox where "group" = %(group)s and event_id in (
    select event_id from events_inbox
    where "group" = %(group)s and received_at < %(before)s and event_id >= %(timeless)s limit %(limit)s)
returning 1
"""

# Group by group, so that the key's index serves. Letters of whole records are in no index by key: all of these are
# looked at, by the unique one, which begins with group and handler.
_SIZES = """
with recursive groups(name) as (
    select min("group") from events_parked
    union all
    select (select min("group") from events_parked where "group" > name) from groups where name is not null
)
select id, octet_length(headers) + coalesce(octet_length(value), 0) + octet_length(error) from groups, lateral (
    select * from events_parked where "group" = name and key = %(key)s and handler <> ''
    union all
    select * from events_parked where "group" = name and key = %(key)s and handler = ''
) as of_key
order by id
"""

# Locked as everybody locks them. Nothing else changes headers and value, so they are as they were read.
_REPLACE = """
with locked as (select id from events_parked where id = any(%(ids)s) order by id for update)
update events_parked as parked set headers = given.headers, value = given.value, error = ''
from locked join unnest(%(ids)s::bigint[], %(headers)s::bytea[], %(values)s::bytea[]) as given(id, headers, value)
    using (id)
where parked.id = locked.id
"""


class Content(NamedTuple):
    """What a parked delivery brings."""

    id: int
    headers: Headers
    value: bytes | None


class Forgotten(NamedTuple):
    """What one step of pruning did: how many it deleted, and the last id that it saw."""

    forgotten: int
    last: UUID


class Counted(NamedTuple):
    """Parked deliveries of a group: dead letters, due or soon due, waiting behind one of these, behind a dead one."""

    dead: int
    parked: int
    waiting: int
    behind_dead: int


def replay(ids: Collection[int]) -> list[int]:
    """Make those of these that are dead due now, as if for the first time; gives their ids."""
    return sorted(replayed for (replayed,) in rows(_REPLAY, [list(ids)]))


def discard(ids: Collection[int], *, known: Collection[str]) -> list[tuple[int, str, Queue | None]]:
    """Delete those of these that are dead, or whose handler is not `known`.

    Gives id and group of each, and its handler and key where it has both.
    """
    gone = rows(_DISCARD, [list(ids), list(known)])
    return [(gone_id, group, (handler, bytes(key)) if handler else None) for gone_id, group, handler, key in gone]


def groups() -> Iterator[str]:
    """Every group that has an inbox."""
    group = ""
    while True:
        ((group,),) = rows(_NEXT_GROUP, [group])
        if group is None:
            return
        yield group


def move_horizon(*, group: str, before: datetime) -> None:
    """The inbox reaches back no further than this; never moved back."""
    run(_MOVE_HORIZON, [group, before])


def forget_events(*, group: str, before: datetime, after: UUID, limit: int) -> Forgotten | None:
    """Look at so many above the id `after`, of events older than `before`; delete those that were received before it.

    None where there are no more. The horizon must have been moved.
    """
    boundary = UUID(int=int(before.timestamp() * 1000) << 80)
    wanted = {"group": group, "before": before, "after": after, "boundary": boundary, "limit": limit}
    ((forgotten, last),) = rows(_FORGET_EVENTS, wanted)
    return Forgotten(forgotten, last) if last else None


def forget_timeless(*, group: str, before: datetime, limit: int) -> int:
    """Delete so many records that could not be read and were received before then; gives how many."""
    return len(rows(_FORGET_TIMELESS, {"group": group, "before": before, "timeless": TIMELESS_FROM, "limit": limit}))


def count(*, group: str, going_on: Collection[str] = ()) -> Counted:
    """What is set aside. `going_on` names the handlers whose dead letters hold nobody back."""
    return Counted(*rows(_COUNT, {"group": group, "going_on": list(going_on)})[0])


def keys_set_aside() -> list[bytes]:
    """Of all that is parked or dead, each once."""
    return [bytes(key) for (key,) in rows("select distinct key from events_parked where key is not null", [])]


def sizes_of(key: bytes) -> list[tuple[int, int]]:
    """Id and bytes of each parked delivery and dead letter of a key, of all groups, in the order of the ids."""
    return [(parked_id, size) for parked_id, size in rows(_SIZES, {"key": key})]


def parked(ids: Sequence[int]) -> list[ParkedDelivery]:
    """These, in the order of their ids."""
    return list(ParkedDelivery.objects.filter(id__in=ids).order_by("id"))


def replace(contents: Sequence[Content]) -> None:
    """Have these parked deliveries bring this instead, without their tracebacks. Their states stay as they are."""
    given: dict[str, Any] = {
        "ids": [one.id for one in contents],
        "headers": [encode_headers(one.headers) for one in contents],
        "values": [one.value for one in contents],
    }
    run(_REPLACE, given)
