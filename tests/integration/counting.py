"""An event class of these tests, and a handler whose every call leaves a row: doubles and gaps show."""

import os
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

import accounts.routes
from events.envelope import Envelope, Stamp, seal
from events.event import Event
from events.routing import Delivery, Routes, on
from tests.integration.raw_records import Raw

TABLE = """
create table effects (
    id bigint generated always as identity primary key, event_id uuid not null, handler text not null,
    name text not null, n int not null, pid int not null
)
"""


class Counted(Event, frozen=True, kw_only=True):
    """The `n`th event of a name."""

    type: ClassVar[str] = "test.counted"
    topic: ClassVar[str] = "user_events"

    name: str
    n: int

    @property
    def key(self) -> str:
        return self.name


def leave_row(event: Counted, delivery: Delivery) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into effects (event_id, handler, name, n, pid) values (%s, %s, %s, %s, %s)",
            [delivery.event_id, delivery.handler, event.name, event.n, os.getpid()],
        )


# With the project's own, which a command's checks look for.
ROUTES = Routes(*accounts.routes.ROUTES.entries, on(Counted, leave_row, name="leave-row"))


def rows(name: str | None = None) -> list[tuple[str, int]]:
    """(name, n) of each effect, in the order they were written."""
    with connection.cursor() as cursor:
        cursor.execute("select name, n from effects where coalesce(name = %s, true) order by id", [name])
        return [(name, n) for name, n in cursor.fetchall()]


def sealed(n: int, name: str = "ann", *, event_id: UUID | None = None) -> Envelope:
    stamp = Stamp(
        id=event_id or uuid7(),
        source="https://tests.example",
        time=datetime(2026, 11, 24, tzinfo=UTC),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    return seal(Counted(name=name, n=n), topic="user.events", stamp=stamp)


def raw(n: int, name: str = "ann", *, event_id: UUID | None = None) -> Raw:
    envelope = sealed(n, name, event_id=event_id)
    return Raw(envelope.key.encode(), envelope.value, tuple(envelope.headers))
