"""A person is forgotten in what `events` keeps, whatever state it is in; the rest goes on as if that were all."""

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest
from django.db import connection, transaction
from psycopg import sql
from pytest_django import Settings

from events.erasure import erase
from events.event import Event
from events.inbox import batch
from events.inbox.group import Group
from events.inbox.opening import Incoming, open_record
from events.inbox.store import record_of
from events.kafka import Record
from events.models import OutboxRecord, ParkedDelivery
from events.outbox import store
from events.outbox.publish import NotInTransaction
from events.outbox.session import Session
from events.outbox.store import Mark, decode_headers
from tests.integration.batching import Gate, beside, retry, wait_for_a_blocked_session
from tests.integration.erasing import (
    FORMER_ROUTES,
    ROUTES,
    STREET,
    TIMESTAMP_MS,
    Changes,
    Gone,
    Left,
    Moved,
    MovedLongAgo,
    MovedOneDay,
    carried,
    erase_ann,
    everything,
    handled,
    outbox_in_every_state,
    published,
    read,
    said,
    versions,
)
from tests.integration.relaying import database_url
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _routed(settings: Settings) -> None:
    settings.EVENTS = {**settings.EVENTS, "ROUTES": "tests.integration.erasing.ROUTES"}
    carried.clear()


# The outbox ------------------------------------------------------------------------------------------------------


def test_outbox_records_of_every_state_lose_their_personal_members_and_nothing_else() -> None:
    outbox_in_every_state()
    before = OutboxRecord.objects.order_by("id").defer("value")
    kept = [field.name for field in OutboxRecord._meta.fields if field.name != "value"]
    states = list(before.values_list(*kept))

    erase_ann()

    assert [row.n for row in map(read, OutboxRecord.objects.order_by("id"))] == [0, 1, 2, 3, 4, 9, 4]
    assert {(row.street, row.changes) for row in map(read, OutboxRecord.objects.all())} == {
        (None, Changes(street=None, town="Ulm"))
    }
    assert list(before.values_list(*kept)) == states


def test_what_was_written_by_an_earlier_version_is_of_today_s_afterwards() -> None:
    [row] = published(MovedLongAgo(n=3))
    erase_ann()
    row.refresh_from_db()
    assert read(row) == Moved(n=3, street=None, changes=Changes(street=None, town="Ulm"))
    assert dict(decode_headers(bytes(row.headers)))["ce_dataschema"].endswith(b"/schemas/test.moved/2")
    assert STREET not in said()


@pytest.mark.parametrize("event", [Gone(), MovedOneDay(), Moved(n="n")])  # type: ignore[arg-type]  # nor can it be read
def test_of_a_record_that_nobody_here_canread_nothing_is_left_but_its_headers(event: Event) -> None:
    [row] = published(event)
    erase_ann()
    after = OutboxRecord.objects.get()
    assert (bytes(after.value), bytes(after.headers)) == (b"", bytes(row.headers))


def test_a_long_history_is_forgotten_as_a_whole() -> None:
    published(*(Moved(n=n) for n in range(501)))
    published(*(Moved(n=n, changes=Changes(street=STREET, town="x" * 900_000)) for n in range(6)))
    erase_ann()
    assert OutboxRecord.objects.count() == 507
    assert {(row.street, row.changes.street) for row in map(read, OutboxRecord.objects.all())} == {(None, None)}


# What is set aside -----------------------------------------------------------------------------------------------


def headers_of_copies() -> list[dict[str, bytes]]:
    copies = OutboxRecord.objects.filter(topic="user.events.dlq").order_by("id")
    return [dict(decode_headers(bytes(copy.headers))) for copy in copies]


@pytest.mark.parametrize("n", [0, 1], ids=["dead", "parked"])
def test_parked_deliveries_and_dead_letters_of_every_group_and_their_copies_are_forgotten(n: int) -> None:
    for group in ("test", "another"):
        handled(Moved(n=n), Moved(n=2), group=group, extra=(("baggage", b"home=Elm Street"),))
    assert ParkedDelivery.objects.count() == 4
    told = headers_of_copies()
    assert len(told) == (2 if n == 0 else 0)

    erase_ann()

    assert STREET not in said()
    records = [record_of(parked) for parked in ParkedDelivery.objects.all()]
    assert all(isinstance(open_record(record, ROUTES), Incoming) for record in records)
    assert headers_of_copies() == [{name: copy[name] for name in copy if name != "baggage"} for copy in told]


def test_a_parked_delivery_is_made_afterwards_and_what_waited_behind_it_follows() -> None:
    handled(Moved(n=1), Moved(n=2))
    erase_ann()
    retry(Group(name="test", routes=ROUTES))
    nowhere = Changes(street=None, town="Ulm")
    assert carried == [Moved(n=n, street=None, changes=nowhere) for n in (1, 2)]
    assert not ParkedDelivery.objects.exists()


def test_a_handler_may_forget_in_the_batch_that_brings_the_news() -> None:
    handled(Moved(n=0), Moved(n=1))
    handled(Left())
    assert STREET not in said()
    assert ParkedDelivery.objects.count() == 2


def junk() -> None:
    # A stranger's, who gives his headers our names.
    headers = (
        ("ce_id", b"Elm Street"), ("ce_type", b"Elm Street"), ("ce_subject", b"ann"), ("dlq_group", b"Elm Street"),
        ("x", None),
    )  # fmt: skip
    record = Record("user.events", 0, 7, TIMESTAMP_MS, b"ann", headers, b"Elm Street")  # type: ignore[arg-type]  # as Kafka's may be
    batch.handle([record], Group(name="test", routes=ROUTES))


def later_version() -> None:
    handled(MovedOneDay())


def former_type() -> None:
    handled(Gone(n=1), routes=FORMER_ROUTES)


@pytest.mark.parametrize(
    ("happen", "kept"),
    [
        (junk, {"ce_subject"}),
        (later_version, {"ce_id", "ce_type", "ce_subject"}),
        (former_type, {"ce_id", "ce_subject"}),
    ],
)
def test_of_what_cannot_beread_the_ids_alone_are_left(happen: Callable[[], None], kept: set[str]) -> None:
    happen()
    erase_ann()
    assert STREET not in said()
    parked = record_of(ParkedDelivery.objects.get())
    assert ({name for name, _ in parked.headers}, parked.value) == (kept, None)
    for headers in headers_of_copies():
        assert {name for name in headers if not name.startswith("dlq_")} == kept
        assert headers["dlq_group"] == b"test"


# As a whole ------------------------------------------------------------------------------------------------------


def test_other_keys_are_left_as_they_are() -> None:
    everything("bob")
    everything("ann")
    before = dict(zip([row[:2] for row in versions()], versions(), strict=True))
    erase_ann()
    of_bob = {(1, row.id) for row in OutboxRecord.objects.exclude(key="ann")}
    of_bob |= {(2, row.id) for row in ParkedDelivery.objects.exclude(key=b"ann")}
    assert len(of_bob) > 6
    after = {row[:2]: row for row in versions()}
    assert {place: before[place] for place in of_bob} == {place: after[place] for place in of_bob}
    assert STREET in said()


def test_a_second_time_writes_nothing() -> None:
    everything("ann")
    junk()
    erase_ann()
    before = versions()
    erase_ann()
    assert versions() == before


def test_what_comes_later_is_found_by_a_second_call() -> None:
    erase_ann()
    everything("ann")
    erase_ann()
    assert STREET not in said()


def test_outside_a_transaction_it_refuses() -> None:
    published(Moved())
    with pytest.raises(NotInTransaction):
        erase("ann")
    assert STREET in said()


# Beside others ---------------------------------------------------------------------------------------------------


def a_lock_is_waited_for() -> bool:
    """As it is now: what PostgreSQL says of sessions stays the same for a whole transaction."""
    with connection.cursor() as cursor:
        cursor.execute("select exists (select from pg_locks where not granted)")
        return bool(cursor.fetchone()[0])


def test_a_relay_that_marks_meanwhile_waits_and_both_hold() -> None:
    rows, gate = published(Moved(n=0), Moved(n=1)), Gate()
    marks = [Mark(row.id, row.shard, partition=1, offset=place) for place, row in enumerate(rows)]

    def mark() -> None:
        gate.stop_here()
        with closing(Session(database_url())) as relay:
            store.mark(relay, marks)

    with beside(mark), transaction.atomic():
        erase("ann")
        gate.open()
        wait_for(a_lock_is_waited_for)

    after = OutboxRecord.objects.order_by("id")
    assert [(read(row).street, row.offset, row.published_at is None) for row in after] == [
        (None, 0, False), (None, 1, False),
    ]  # fmt: skip


@pytest.mark.parametrize("table", ["events_outbox", "events_parked"])
def test_rows_are_locked_in_the_order_of_their_ids_wherever_they_lie(table: str) -> None:
    """Whoever has the first and wants the others too, as a relay with its marks, gets them: nobody waits crosswise."""
    handled(*(Moved(n=n) for n in range(1, 4)))
    with psycopg.connect(database_url()) as other:
        name = sql.Identifier(table)
        [first, *others] = [row[0] for row in other.execute(sql.SQL("select id from {} order by id").format(name))]
        other.execute(sql.SQL("update {} set attempts = attempts where id = %s").format(name), [first])
        with beside(erase_ann):
            wait_for_a_blocked_session()
            take = sql.SQL("select from {} where id = any(%s) for update nowait").format(name)
            assert other.execute(take, [others]).rowcount == len(others) == 2
            other.commit()
    assert STREET not in said()
