"""What PostgreSQL must be like for ids to follow commit order, and shards to have one owner: part of the `doctor`."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import OperationalError, connection

from events.conf import EventsSettings
from events.doctor.finding import Finding
from events.errors import Transient
from events.outbox import operator_store
from events.outbox.lock_session import LockSession, Pooled
from events.outbox.store import SHARDS

PREPARED_FOR_S = 60.0
_LOCK = 0x6F757404  # a class beside those of `shards` and `wakeup`

_TABLE = """
select seqcache,
    (select attname from pg_attribute where attrelid = outbox.oid and attnum > 0 and not attisdropped
     order by attnum limit 1),
    (select pg_get_constraintdef(oid) from pg_constraint
     where conrelid = outbox.oid and conname = 'events_outbox_shard' and convalidated)
from (select to_regclass('events_outbox') as oid) as outbox
join pg_sequence on seqrelid = pg_get_serial_sequence(outbox.oid::text, 'id')::regclass
"""
_PREPARED = """
select gid, extract(epoch from clock_timestamp() - prepared)::float8
from pg_prepared_xacts where database = current_database() order by prepared
"""
_HELD = """
select exists (
    select from pg_locks where locktype = 'advisory' and classid::bigint = %(class)s and pid = pg_backend_pid()
)
"""


def findings(settings: EventsSettings) -> Iterator[Finding]:
    """All of it, or that there is no answer."""
    try:
        yield _isolation()
        yield _pooler(settings.database_direct_url)
        yield prepared(_ask(_PREPARED))
        yield from _records(table())
    except OperationalError as error:
        yield Finding("database", str(error).strip(), "start PostgreSQL, or set DATABASE_URL to where it is")


def table() -> list[Finding]:
    """How the outbox table is made; nothing where there is none."""
    return [
        finding
        for cache, first_column, check in _ask(_TABLE)
        for finding in (sequence_cache(cache), first_of(first_column), shards(check))
    ]


def sequence_cache(size: int) -> Finding:
    """With more than one, each session draws ids from a stock of its own, and they do not follow commit order."""
    remedy = "" if size == 1 else "alter table events_outbox alter column id set cache 1"
    return Finding("ids in stock a session", str(size), remedy)


def first_of(column: str) -> Finding:
    """Defaults are drawn in the order of columns: an id drawn before the transaction's number is never read."""
    remedy = (
        "" if column == "xid" else "make the table anew by its migrations, and copy the records in: xid comes first"
    )
    return Finding("first column of the outbox", column, remedy)


def shards(check: str | None) -> Finding:
    """What relays share is fixed in the table: where it has another number, two of them send one key."""
    bounds = [int(number) for number in re.findall(r"\d+", check or "")]
    remedy = "" if bounds == [0, SHARDS - 1] else f"run the version that made this table, or restore 0 to {SHARDS - 1}"
    return Finding("shards in the outbox", check or "no valid CHECK events_outbox_shard", remedy)


def prepared(transactions: Sequence[tuple[Any, ...]]) -> Finding:
    """A prepared transaction keeps its keys' locks, whether its session lives or not: by gid, with its age in s."""
    old = [(gid, age_s) for gid, age_s in transactions if age_s > PREPARED_FOR_S]
    told = ", ".join(f"{gid!r} for {age_s:.0f} s" for gid, age_s in old)
    remedy = "; ".join(f"rollback prepared '{gid}' (or commit prepared)" for gid, _ in old)
    return Finding("prepared transactions left behind", told or "none", remedy)


def _isolation() -> Finding:
    ((level,),) = _ask("show transaction_isolation")
    remedy = "" if level == "read committed" else "drop default_transaction_isolation and OPTIONS isolation_level"
    return Finding("isolation level", level, remedy)


def _records(of_table: list[Finding]) -> Iterator[Finding]:
    if not of_table:
        yield Finding("outbox table", "missing", "manage.py migrate")
        return
    yield from of_table
    foreign = operator_store.foreign_numbers()
    remedy = f"{foreign} pending records were restored from another cluster: restart a relay, which mends them"
    yield Finding("transaction numbers from the future", str(foreign), remedy if foreign else "")


def _pooler(url: str) -> Finding:
    """Session locks must outlive a transaction."""
    subject, remedy = "DATABASE_DIRECT_URL", "set it to PostgreSQL's own address, past any transaction pooler"
    try:
        is_held = _holds_a_lock(url)
    except (Pooled, Transient) as error:
        return Finding(subject, str(error), remedy)
    return Finding(
        subject, "session locks last" if is_held else "a lock of the session is gone", "" if is_held else remedy
    )


def _holds_a_lock(url: str) -> bool:
    session = LockSession(url)
    try:
        session.ask("select pg_advisory_lock_shared(%(class)s, 0)", **{"class": _LOCK})
        ((is_held,),) = session.ask(_HELD, **{"class": _LOCK})
        return bool(is_held)
    finally:
        session.close()


def _ask(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
