"""The consumer's statements on the inbox, its horizon and parked deliveries; operators' are in `operator_store`.

`batch`, `trust`, `parking` and `retries` run them in their transactions, beside the handlers' own writes, and
`dead_letters` in its own. READ COMMITTED, on Django's own connection.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec
from django.db import connection

from events.envelope import Headers
from events.kafka import Record
from events.models import InboxHorizon, ParkedDelivery

Queue = tuple[str, bytes]  # handler and key: deliveries that wait for one another

# Sorted, and all of a batch in one statement: two members that overlap would deadlock otherwise. The one who
# comes second waits here for the first one's commit.
# Mostly all of them are new, which one number says. Arrays go as text here: the driver takes longer to write and read a
# batch of values one by one than the server to find them.
_RECEIVE = """
with new as (
    insert into events_inbox ("group", event_id)
    select %s, event_id from unnest(%s::uuid[]) as received(event_id)
    on conflict do nothing
    returning event_id
)
select case when count(*) < %s then array_agg(event_id) end, count(*) from new
"""

# After _RECEIVE, and all of a key rather than the heads alone: whoever retries or discards one of them has to be
# through, or waits. A statement of its own, so that it sees what was committed while it waited.
_WAITING = """
with locked as (
    select handler, key, dead_at is not null as is_dead from events_parked
    where "group" = %s and key = any(%s::bytea[]) and handler <> '' order by id for update
)
select handler, key, bool_and(is_dead) from locked group by handler, key
"""

_PARK = """
insert into events_parked ("group", handler, event_id, type, topic, partition, "offset", recorded_at, key, headers,
    value, reason, error, attempts, next_attempt_at, dead_at)
select %s, handler, event_id, type, topic, partition, at, recorded_at, key, headers, value, reason, error, attempts,
    clock_timestamp() + make_interval(secs => wait_s), case when is_dead then clock_timestamp() end
from unnest(%s::text[], %s::uuid[], %s::text[], %s::text[], %s::int[], %s::bigint[], %s::timestamptz[], %s::bytea[],
    %s::bytea[], %s::bytea[], %s::text[], %s::text[], %s::smallint[], %s::float8[], %s::bool[])
    with ordinality as parked(handler, event_id, type, topic, partition, at, recorded_at, key, headers, value, reason,
    error, attempts, wait_s, is_dead, n)
order by n
on conflict do nothing
returning handler, event_id
"""

# The head alone: nobody may overtake it, not even while somebody else has it in hand.
_TAKE_DUE = """
select * from events_parked as due
where "group" = %(group)s and handler = any(%(handlers)s) and next_attempt_at <= clock_timestamp()
    and (handler = '' or not exists (
        select from events_parked as before
        where before."group" = due."group" and before.key = due.key and before.handler = due.handler
            and before.handler <> '' and before.id < due.id
            and (before.dead_at is null or before.handler <> all(%(going_on)s))))
order by next_attempt_at, id limit %(limit)s for update skip locked
"""

_PROMOTE = """
update events_parked set next_attempt_at = clock_timestamp()
where dead_at is null and next_attempt_at is null and id = (
    select min(id) from events_parked
    where "group" = %(group)s and handler = %(handler)s and handler <> '' and key = %(key)s
        and (dead_at is null or not %(goes_on)s))
"""

_POSTPONE = """
update events_parked
set attempts = attempts + 1, reason = %s, error = %s, next_attempt_at = clock_timestamp() + make_interval(secs => %s)
where id = %s
"""

_BURY = """
update events_parked
set attempts = attempts + 1, reason = %s, error = %s, next_attempt_at = null, dead_at = clock_timestamp()
where id = %s
"""

_HAS_RECEIVED = """
select exists (select from events_inbox_horizon where "group" = %(group)s)
    or exists (select from events_inbox where "group" = %(group)s)
"""

_TIMESTAMP_MOST_MS = 253_402_300_799_000  # the last second of the year 9999


class NewParked(NamedTuple):
    """One delivery to set aside. Without `wait_s` it waits behind another, or `is_dead`.

    `handler` is empty where the whole record is meant. `error` is the traceback.
    """

    record: Record
    handler: str
    event_id: UUID
    type: str
    reason: str
    error: str = ""
    attempts: int = 0
    wait_s: float | None = None
    is_dead: bool = False


def receive(*, group: str, event_ids: Collection[UUID]) -> Collection[UUID]:
    """Note these events, each given once, as received; gives those that this group had not received before."""
    ordered = sorted([event_id.hex for event_id in event_ids])
    ((new, count),) = rows(_RECEIVE, [group, f"{{{','.join(ordered)}}}", len(ordered)])
    return event_ids if count == len(ordered) else set(new or ())


def waiting(*, group: str, keys: Collection[bytes]) -> list[tuple[Queue, bool]]:
    """Of which handlers and keys something is set aside, and whether all of it is dead; locked until the end."""
    array = ",".join([f'"\\\\x{key.hex()}"' for key in keys])
    found = rows(_WAITING, [group, f"{{{array}}}"]) if keys else []
    return [((handler, bytes(key)), is_dead) for handler, key, is_dead in found]


def park(parked: Sequence[NewParked], *, group: str) -> set[tuple[str, UUID]]:
    """Set them aside, in this order; gives handler and event id of those that were not yet."""
    if not parked:
        return set()
    columns = zip(*(_columns(one) for one in parked), strict=True)
    return set(rows(_PARK, [group, *map(list, columns)]))


def take_due(
    *, group: str, handlers: Collection[str], going_on: Collection[str], limit: int
) -> Sequence[ParkedDelivery]:
    """Deliveries whose time has come and before which none of its key waits, locked.

    `going_on` names the handlers whose dead letters hold nobody back.
    """
    wanted = {"group": group, "handlers": ["", *handlers], "going_on": list(going_on), "limit": limit}
    return list(ParkedDelivery.objects.raw(_TAKE_DUE, wanted))


def promote(*, group: str, queue: Queue, goes_on: bool) -> None:
    """The next of this handler and key is due now, if any; none behind a dead letter, unless it `goes_on`."""
    handler, key = queue
    run(_PROMOTE, {"group": group, "handler": handler, "key": key, "goes_on": goes_on})


def remove(parked_id: int) -> None:
    """The delivery was made."""
    ParkedDelivery.objects.filter(id=parked_id).delete()


def postpone(parked_id: int, *, reason: str, error: str, wait_s: float) -> None:
    """One attempt more has failed; the next one in so many seconds."""
    run(_POSTPONE, [_text(reason), _text(error), wait_s, parked_id])


def bury(parked_id: int, *, reason: str, error: str) -> None:
    """The last attempt has failed: a dead letter."""
    run(_BURY, [_text(reason), _text(error), parked_id])


def is_still(parked: ParkedDelivery) -> bool:
    """Whether it is as it was when it was read; locked then until the transaction ends."""
    same = ParkedDelivery.objects.filter(id=parked.id, attempts=parked.attempts, dead_at=None)
    return same.select_for_update().exists()


def horizon(*, group: str) -> datetime | None:
    """Events older than this may have been pruned from the inbox; None where nothing was pruned."""
    return InboxHorizon.objects.filter(group=group).values_list("before", flat=True).first()


def has_received(*, group: str) -> bool:
    """Whether this group has ever received an event, be it forgotten by now."""
    ((has,),) = rows(_HAS_RECEIVED, {"group": group})
    return bool(has)


def check_constraints() -> None:
    """Raise now what a deferred constraint would raise at the commit, and what a broken transaction hides."""
    run("set constraints all immediate; set constraints all deferred")


def check_session() -> None:
    """Raise if PostgreSQL has ended the session."""
    run("select 1")


def encode_headers(headers: Headers) -> bytes:
    """Any record's headers as the column keeps them: a JSON array of [name, base64] pairs."""
    return msgspec.json.encode(headers)


def record_of(parked: ParkedDelivery) -> Record:
    """The record as Kafka gave it."""
    # A stranger's header may have no value, which is told when the record is opened.
    headers = cast("Headers", tuple(msgspec.json.decode(parked.headers, type=list[tuple[str, bytes | None]])))
    timestamp_ms = round(parked.recorded_at.timestamp() * 1000)
    return Record(
        parked.topic, parked.partition, parked.offset, timestamp_ms, _bytes(parked.key), headers, _bytes(parked.value),
    )  # fmt: skip


def _columns(parked: NewParked) -> tuple[Any, ...]:
    record = parked.record
    return (
        parked.handler, parked.event_id, parked.type, record.topic, record.partition, record.offset,
        _recorded_at(record), record.key, encode_headers(record.headers), record.value, _text(parked.reason),
        _text(parked.error), parked.attempts, parked.wait_s, parked.is_dead,
    )  # fmt: skip


def _recorded_at(record: Record) -> datetime:
    # A producer may write any number there; -1 says that there is none.
    within = min(max(record.timestamp_ms, 0), _TIMESTAMP_MOST_MS)
    return datetime.fromtimestamp(within / 1000, UTC)


def _text(text: str) -> str:
    """Without what no text column takes: an error's message, or a stranger's header, may be anything."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _bytes(column: bytes | memoryview | None) -> bytes | None:
    return None if column is None else bytes(column)


def run(statement: str, parameters: Any = None) -> None:
    """Run one that gives no rows; for `operator_store`, too."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def rows(statement: str, parameters: Any) -> list[tuple[Any, ...]]:
    """Run one; gives its rows. For `operator_store`, too."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
