"""The helpers for other projects' tests: inside a test case's transaction, without Kafka."""

from uuid import UUID

import pytest
from django.db import connection, transaction

from events.event import Event
from events.models import InboxRecord
from events.outbox.publish import publish
from events.routing import Delivery, Routes, on, unhandled
from events.testing import captured_events, deliver, deliver_pending
from tests.integration.counting import Counted

pytestmark = pytest.mark.django_db


class Echoed(Counted, frozen=True, kw_only=True):
    """What the handler publishes in answer."""

    type = "test.echoed"


@pytest.fixture
def calls() -> list[tuple[Event, UUID]]:
    return []


@pytest.fixture
def routes(calls: list[tuple[Event, UUID]]) -> Routes:
    def echo(event: Counted, delivery: Delivery) -> None:
        calls.append((event, delivery.event_id))
        publish(Echoed(name=event.name, n=event.n))

    def note(event: Echoed, delivery: Delivery) -> None:
        calls.append((event, delivery.event_id))

    return Routes(on(Counted, echo, name="echo"), on(Echoed, note, name="note"))


def published(n: int) -> None:
    with transaction.atomic():
        publish(Counted(name="ann", n=n))


def test_captured_events_are_those_published_in_the_block(routes: Routes) -> None:
    published(1)
    with captured_events(routes=routes) as events:
        published(2)
        published(3)
    assert events == [Counted(name="ann", n=2), Counted(name="ann", n=3)]


def test_pending_events_reach_their_handlers_once_and_so_does_what_these_publish(
    routes: Routes, calls: list[tuple[Event, UUID]]
) -> None:
    published(1)
    deliver_pending(routes=routes)
    deliver_pending(routes=routes)
    assert [event for event, _ in calls] == [Counted(name="ann", n=1), Echoed(name="ann", n=1)]
    assert InboxRecord.objects.count() == 2


def test_one_event_can_be_delivered_and_delivered_again(routes: Routes, calls: list[tuple[Event, UUID]]) -> None:
    event = Counted(name="ann", n=1)
    event_id = deliver(event, routes=routes)
    deliver(event, event_id=event_id, routes=routes)
    assert calls == [(event, event_id)]


def test_what_a_handler_raises_reaches_the_test_and_its_writes_are_undone() -> None:
    def fail(_: Counted, __: Delivery) -> None:
        with connection.cursor() as cursor:
            cursor.execute("create table left_behind ()")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        deliver(Counted(name="ann", n=1), routes=Routes(on(Counted, fail, name="fail")))
    assert "left_behind" not in connection.introspection.table_names()


def test_an_event_that_nothing_handles_is_delivered_to_nobody() -> None:
    deliver(Counted(name="ann", n=1), routes=Routes(unhandled(Counted, because="a test")))
    assert InboxRecord.objects.count() == 1
