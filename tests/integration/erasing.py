"""Events with a secret in them, handlers that tell it, and how they come into the tables and are looked at."""

from typing import Any, ClassVar

import msgspec
from django.db import connection, transaction
from django.utils import timezone

from events.erasure import erase
from events.errors import Permanent
from events.event import Event, PersonalStr
from events.inbox import batch
from events.inbox.group import Group
from events.inbox.opening import Incoming, open_record
from events.inbox.store import record_of
from events.kafka import Record
from events.models import OutboxRecord, ParkedDelivery
from events.outbox.requeue import requeue
from events.outbox.store import decode_headers
from events.routing import Delivery, Routes, on
from tests.integration.relaying import commit

TIMESTAMP_MS = 1_795_000_000_000
STREET = "Elm Street"


def lift(members: dict[str, Any]) -> dict[str, Any]:
    """Leaves the old member where it was."""
    return {**members, "street": members["address"]}


class Changes(msgspec.Struct, frozen=True, omit_defaults=True):
    street: PersonalStr | msgspec.UnsetType = msgspec.UNSET
    town: str | msgspec.UnsetType = msgspec.UNSET


class Moved(Event, frozen=True, kw_only=True):
    """Somebody lives elsewhere now."""

    type: ClassVar[str] = "test.moved"
    topic: ClassVar[str] = "user_events"
    schema_version: ClassVar[int] = 2
    upcasters = {1: lift}

    who: str = "ann"
    n: int = 0
    street: PersonalStr = STREET
    changes: Changes = Changes(street=STREET, town="Ulm")

    @property
    def key(self) -> str:
        return self.who


class MovedLongAgo(Event, frozen=True, kw_only=True):
    """The same as it was first."""

    type: ClassVar[str] = "test.moved"
    topic: ClassVar[str] = "user_events"

    who: str = "ann"
    n: int = 0
    address: PersonalStr = STREET

    @property
    def key(self) -> str:
        return self.who


class MovedOneDay(Moved, frozen=True, kw_only=True):
    """The same as it may be."""

    schema_version: ClassVar[int] = 3


class Gone(Moved, frozen=True, kw_only=True):
    """Of a type that no route names any more."""

    type: ClassVar[str] = "test.gone"


class Left(Moved, frozen=True, kw_only=True):
    """Who left is to be forgotten."""

    type: ClassVar[str] = "test.left"


def carry(event: Moved, delivery: Delivery) -> None:
    """Fails for who has a street, and tells what it should not."""
    if event.street:
        raise (Permanent if event.n == 0 else ValueError)(f"cannot go to {event.street}")
    carried.append(event)


def forget(event: Left, delivery: Delivery) -> None:
    erase(event.who)


carried: list[Moved] = []
ROUTES = Routes(on(Moved, carry, name="carry"), on(Left, forget, name="forget"))
FORMER_ROUTES = Routes(on(Gone, carry, name="carry-gone"))


def erase_ann() -> None:
    with transaction.atomic():
        erase("ann")


def published(*events: Event) -> list[OutboxRecord]:
    """Their records."""
    known = set(OutboxRecord.objects.values_list("id", flat=True))
    commit(*events)
    return list(OutboxRecord.objects.exclude(id__in=known).order_by("id"))


def handled(*events: Event, routes: Routes = ROUTES, group: str = "test", extra: tuple[Any, ...] = ()) -> None:
    """Published, and handled by a group; `extra` headers came up on the way."""
    rows = published(*events)
    batch.handle([_record(row, extra) for row in rows], Group(name=group, routes=routes))


def _record(row: OutboxRecord, extra: tuple[Any, ...] = ()) -> Record:
    headers = (*decode_headers(bytes(row.headers)), *extra)
    return Record(row.topic, 0, row.id, TIMESTAMP_MS, row.key.encode(), headers, bytes(row.value))


def said() -> str:
    """All that both tables say."""
    rows = [*OutboxRecord.objects.values_list(), *ParkedDelivery.objects.values_list()]
    texts = [str(bytes(part) if isinstance(part, memoryview) else part) for row in rows for part in row]
    return "\n".join([*texts, *(str(record_of(parked)) for parked in ParkedDelivery.objects.all())])


def versions() -> list[tuple[Any, ...]]:
    """Which transaction wrote each row as it is now."""
    with connection.cursor() as cursor:
        cursor.execute("select 1, id, xmin::text from events_outbox union all select 2, id, xmin::text"
                       " from events_parked order by 1, 2")  # fmt: skip
        return list(cursor.fetchall())


def outbox_in_every_state() -> None:
    """Pending, published, refused for a while, dead, dead and copied."""
    now = timezone.now()
    rows = published(*(Moved(n=n) for n in range(5)), Left(n=9))
    states: list[dict[str, Any]] = [
        {}, {"published_at": now, "partition": 1, "offset": 7}, {"attempts": 2, "next_attempt_at": now},
        {"dead_at": now, "error": "BrokerRefuses: x"}, {"dead_at": now, "attempts": 10},
    ]  # fmt: skip
    for row, state in zip(rows, states, strict=False):
        OutboxRecord.objects.filter(id=row.id).update(**state)
    assert requeue([rows[4].id]) == [rows[4].id]


def everything(who: str) -> None:
    """Records, dead letters with copies, and what waits, of two groups."""
    handled(Moved(who=who, n=0), Moved(who=who, n=1), Left(who=who + "'s", n=2))
    handled(MovedOneDay(who=who), group="another")


def read(row: OutboxRecord) -> Moved:
    opened = open_record(_record(row), ROUTES)
    assert isinstance(opened, Incoming)
    assert isinstance(opened.event, Moved)
    return opened.event
