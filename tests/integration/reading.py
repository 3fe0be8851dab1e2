"""A reader under test on a session of its own, and rows made in the database alone, cheaply and by the thousand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from events.outbox import store
from events.outbox.reader import Reader
from events.outbox.session import Session
from events.outbox.store import Mark, Pending
from tests.integration.relaying import database_url

ALL = frozenset(range(64))
NO_LIMIT = 100_000_000

# The shard does not matter to who reads all; headers are an empty MessagePack array.
_MAKE = """
insert into events_outbox (event_id, topic, key, shard, type, headers, value, published_at)
select gen_random_uuid(), %(topic)s, coalesce(%(key)s, 'k' || n %% 100), 0, 'test.made', '\\x90', '{}',
    case when %(published)s then now() end
from generate_series(1, %(rows)s) as n
"""


class Reading:
    """A reader, and how it marks what it read."""

    def __init__(self) -> None:
        self.session = Session(database_url())
        self.reader = Reader(self.session)

    def read(self, *, limit: int = 1_000, shards: frozenset[int] = ALL) -> list[Pending]:
        return self.reader.read(shards, limit=limit, bytes_most=NO_LIMIT)

    def read_keys(self, *, limit: int = 1_000) -> list[str]:
        return [record.key for record in self.read(limit=limit)]

    def mark(self, records: list[Pending]) -> None:
        high = self.reader.high
        number = store.mark(self.session, [Mark(record.id, record.shard, 0, record.id) for record in records])
        self.reader.note_marked([record.id for record in records], high=high, number=number)


@contextmanager
def reading() -> Iterator[Reading]:
    one = Reading()
    try:
        yield one
    finally:
        one.session.close()


def make(rows: int, *, key: str | None = None, published: bool = False, topic: str = "made") -> None:
    with connection.cursor() as cursor:
        cursor.execute(_MAKE, {"rows": rows, "key": key, "published": published, "topic": topic})


@contextmanager
def other_session(**settings: Any) -> Iterator[psycopg.Connection[Any]]:
    """One that is in a transaction from its first statement on."""
    with psycopg.connect(database_url(), **settings) as other:
        yield other


def write(session: psycopg.Connection[Any], key: str, *, topic: str = "made") -> int:
    """One record in the session's open transaction, number and id drawn as publish() does; gives the id."""
    row = session.execute(_MAKE + " returning id", {"rows": 1, "key": key, "published": False, "topic": topic})
    return int(row.fetchall()[0][0])


def plan_of_next_read(one: Reading) -> dict[str, Any]:
    """As the relay's own session plans and runs it."""
    ((plan,),) = one.session.run(
        "explain (analyze, buffers, format json) " + store.READ, one.reader._wanted(1_000, NO_LIMIT)
    )
    top: dict[str, Any] = plan[0]["Plan"]
    return top


def buffers_of_next_read(one: Reading) -> int:
    return buffers(plan_of_next_read(one))


def buffers(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])
