"""What the load's events lead to: a row each, by a handler that a test can hold up, starve or hang; and who judges it.

A consumer process reads ROUTES. Nothing of ours takes part in the judgement: ledger and effects are compared by SQL.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.db import connection

import accounts.routes
from events.errors import Transient
from events.routing import Delivery, Routes, on
from tests.faults.writer import Fact

HANDLER = "leave-effect"
_GATE = 0x6F757403  # an advisory lock: each handler passes it, until somebody else takes it
_TABLE = """
create table effects (
    id bigint generated always as identity primary key, mark text not null,
    member text not null default current_setting('application_name')
)
"""
_LOST = "select count(*) from ledger where mark not in (select mark from effects)"
_DOUBLED = "select count(*) - count(distinct mark) from effects"
_REORDERED = """
select count(*) from (
    select n, lag(n) over (partition by key order by id) as before from effects join ledger using (mark)
) as handled where n < before
"""


def leave_effect(event: Fact, delivery: Delivery) -> None:
    """Within its transaction: wait at the gate, obey what lies in the folder, leave the row."""
    folder = Path(os.environ.get("EFFECTS_FOLDER", "/nowhere"))
    if (folder / "away").exists():
        raise Transient("the cache")
    if (folder / "hang").exists():
        (folder / "hang").unlink()
        time.sleep(3_600)  # it is to hang
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock_shared(%s)", [_GATE])
        cursor.execute("insert into effects (mark) values (%s)", [event.mark])


# With the project's own, which a command's checks look for.
ROUTES = Routes(*accounts.routes.ROUTES.entries, on(Fact, leave_effect, name=HANDLER))


def create_effects(database_url: str) -> None:
    """Make the table, empty."""
    drop_effects(database_url)
    with psycopg.connect(database_url) as session:
        session.execute(_TABLE)


def drop_effects(database_url: str) -> None:
    """Remove the table."""
    with psycopg.connect(database_url) as session:
        session.execute("drop table if exists effects")


@contextmanager
def gate_closed(database_url: str) -> Iterator[None]:
    """Every handler stands still inside its transaction for as long as the block lasts."""
    with psycopg.connect(database_url) as session:
        session.execute("select pg_advisory_xact_lock(%s)", [_GATE])
        yield


def figures(database_url: str) -> dict[str, int]:
    """What is wrong with the effects of what the ledger has: all 0 when each has one, and each key's are in order."""
    with psycopg.connect(database_url) as session:
        return {
            name: int((session.execute(query).fetchone() or (-1,))[0])
            for name, query in (("lost", _LOST), ("doubled", _DOUBLED), ("reordered", _REORDERED))
        }
