"""The outbox as the benchmark fills, watches and empties it; plain SQL, whatever the relay does.

`samples` wrote real records; `keep_samples` puts them aside, and `drain` loads multiples of them as a backlog.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from benchmarks.frame.waiting import wait_for

Session = psycopg.Connection[tuple[Any, ...]]

_LOCKED_OUT_WITHIN_S = 10.0
_DRAINED_WITHIN_S = 600.0
_VACUUMED_WITHIN_S = 240.0

# What a record gets by itself, or only later.
_OWN = [
    "xid", "id", "created_at", "published_at", "partition", "offset", "dead_at", "attempts", "next_attempt_at", "error",
    "requeue_of",
]  # fmt: skip
_COLUMNS = """
select column_name::text from information_schema.columns
where table_name = 'events_outbox' and column_name <> all(%s) and is_generated = 'NEVER'
order by ordinal_position
"""
_KEEP = """
create table samples as
    select row_number() over (order by id) - 1 as number, {columns} from events_outbox order by id
"""
_LOAD = """
with loaded as (
    insert into events_outbox ({columns})
    select {columns} from generate_series(1, %s) as time, samples order by time, number
    returning id
)
select min(id), max(id) from loaded
"""
# Small, since their number is what counts: with 400 bytes each, five millions would take 11 GB.
_HISTORY = """
insert into events_outbox ({columns}, published_at, partition, "offset")
select {columns}, clock_timestamp(), 0, number
from generate_series(1, %s) as time, (select {emptied}, number from samples limit 1000) as sample
"""
_WAITING = """
select count(*) from pg_locks
where relation = 'events_outbox'::regclass and not granted
    and database = (select oid from pg_database where datname = current_database())
"""
_IS_PUBLISHED = "select from events_outbox where id = %s and published_at is not null"
_PENDING = "select count(*) from events_outbox where id >= %s and published_at is null"
_LAST_MARK = "select max(published_at) from events_outbox where id >= %s"
_VACUUMED = """
select from pg_stat_user_tables
where relname = 'events_outbox' and last_autovacuum is not null and last_autoanalyze is not null
    and not exists (select from pg_stat_progress_vacuum)
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Records loaded together: their first and last id, and when they were there to be read."""

    first: int
    last: int
    there_at: datetime


class Outbox:
    """The table of one database."""

    def __init__(self, dsn: str) -> None:
        self._watch: Session = psycopg.connect(dsn, autocommit=True)
        self._loader: Session = psycopg.connect(dsn, autocommit=True)
        names = [name for (name,) in self._watch.execute(_COLUMNS, [_OWN])]
        self._columns = {name: sql.Identifier(name) for name in names}

    def close(self) -> None:
        """Let go of the sessions."""
        self._watch.close()
        self._loader.close()

    def keep_samples(self) -> None:
        """Put the records that are there aside, to be loaded again and again; and make the floor's own table."""
        self._watch.execute("create table plain (value bytea)")
        self._watch.execute(self._with_columns(_KEEP))
        self.clear()

    def clear(self) -> None:
        """Remove every record, and what dead rows leave in the indexes."""
        self._watch.execute("truncate events_outbox")

    def add_history(self, thousands: int) -> None:
        """So many thousands of published records."""
        emptied = {name: sql.SQL("''::bytea as {}").format(column) for name, column in self._columns.items()}
        shown = [emptied[name] if name in ("headers", "value") else self._columns[name] for name in emptied]
        self._watch.execute(self._with_columns(_HISTORY, emptied=sql.SQL(", ").join(shown)), [thousands])

    def wait_for_autovacuum(self) -> None:
        """Until it has vacuumed and analysed the table and is done; meanwhile it looks every second."""
        self._set_up("alter system set autovacuum_naptime = '1s'")
        wait_for(lambda: self._watch.execute(_VACUUMED).rowcount, within_s=_VACUUMED_WITHIN_S, every_s=0.5)
        self._set_up("alter system reset autovacuum_naptime")

    def _set_up(self, change: LiteralString) -> None:
        self._watch.execute(change)
        self._watch.execute("select pg_reload_conf()")

    def let_go(self, times: int, *, readers: int) -> Backlog:
        """Load the samples so many times over; they are there, all at once, when this returns.

        Before, `readers` relays come to wait for the table, so that none finds the backlog late.
        """
        self._watch.execute("checkpoint")  # now, and not in the middle of a drain
        with self._loader.transaction():
            ids = _only(self._loader.execute(self._with_columns(_LOAD), [times]))
            self._loader.execute("lock table events_outbox in access exclusive mode")
            wait_for(lambda: _only(self._watch.execute(_WAITING)) >= (readers,), within_s=_LOCKED_OUT_WITHIN_S)
        return Backlog(*ids, *_only(self._watch.execute("select clock_timestamp()")))

    def seconds_to_drain(self, backlog: Backlog) -> float:
        """Wait until all of it is published; the time from its being there to the last mark."""
        wait_for(lambda: self._watch.execute(_IS_PUBLISHED, [backlog.last]).rowcount, within_s=_DRAINED_WITHIN_S)
        wait_for(lambda: _only(self._watch.execute(_PENDING, [backlog.first])) == (0,), within_s=_DRAINED_WITHIN_S)
        (last_mark,) = _only(self._watch.execute(_LAST_MARK, [backlog.first]))
        seconds: float = (last_mark - backlog.there_at).total_seconds()
        return seconds

    def _with_columns(self, statement: LiteralString, **parts: sql.Composable) -> sql.Composed:
        return sql.SQL(statement).format(columns=sql.SQL(", ").join(self._columns.values()), **parts)


def _only(found: psycopg.Cursor[tuple[Any, ...]]) -> tuple[Any, ...]:
    row = found.fetchone()
    assert row is not None  # noqa: S101 - each of these statements gives one row
    return row
