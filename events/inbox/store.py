"""Every statement on the inbox and on parked deliveries; no other file has one.

All of them belong to the transaction of `batch`, beside the handlers' own writes.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from events.envelope import Headers
from events.kafka import Record

# Sorted, and all of a batch in one statement: two members that overlap would deadlock otherwise. The one who
# comes second waits here for the first one's commit.
_RECEIVE = """
insert into events_inbox ("group", event_id)
select %s, event_id from unnest(%s::uuid[]) as received(event_id)
on conflict do nothing
returning event_id
"""

_BURY = """
insert into events_parked
       ("group", handler, topic, partition, "offset", recorded_at, key, headers, value, reason, dead_at)
values (%s, '', %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp())
on conflict do nothing
returning id
"""

_TIMESTAMP_MOST_MS = 253_402_300_799_000  # the last second of the year 9999


def receive(*, group: str, event_ids: Iterable[UUID]) -> set[UUID]:
    """Note these events as received; gives those that this group had not received before."""
    with connection.cursor() as cursor:
        cursor.execute(_RECEIVE, [group, sorted(set(event_ids))])
        return {event_id for (event_id,) in cursor.fetchall()}


def bury(record: Record, *, group: str, reason: str) -> bool:
    """Keep a record that cannot be read, whole, as a dead letter; gives False where it lies there already."""
    row: list[Any] = [
        group, record.topic, record.partition, record.offset, _recorded_at(record), record.key,
        encode_headers(record.headers), record.value, reason.replace("\0", "\N{REPLACEMENT CHARACTER}"),
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_BURY, row)
        return cursor.fetchone() is not None


def check_constraints() -> None:
    """Raise now what a deferred constraint would raise at the commit, and what a broken transaction hides."""
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate; set constraints all deferred")


def encode_headers(headers: Headers) -> bytes:
    """Any record's headers as the column keeps them: a JSON array of [name, base64] pairs."""
    return msgspec.json.encode(headers)


def _recorded_at(record: Record) -> datetime:
    # A producer may write any number there; -1 says that there is none.
    within = min(max(record.timestamp_ms, 0), _TIMESTAMP_MOST_MS)
    return datetime.fromtimestamp(within / 1000, UTC)
