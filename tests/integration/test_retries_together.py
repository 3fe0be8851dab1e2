"""Deliveries of different keys that are due at one time share a transaction, and no fault of one is another's."""

from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from events.errors import Transient
from events.inbox import batch, retries
from events.inbox.delivery import Away
from events.models import OutboxRecord, ParkedDelivery
from events.outbox import publish
from events.routing import Delivery, on
from tests.integration.batching import LIMIT_S, Handler, Refusing, group_of, make_due, records_of
from tests.integration.counting import Counted, leave_row, rows

pytestmark = pytest.mark.usefixtures("effects")


def park(keys: int) -> None:
    names = [f"k{n:02}" for n in range(keys)]
    batch.handle(records_of(names), group_of(on(Counted, Refusing(*range(keys)), name="tested")))
    assert ParkedDelivery.objects.count() == keys
    make_due()


def retry_due(handler: Handler) -> Away | None:
    return retries.retry_due(group_of(on(Counted, handler, name="tested")), within_s=LIMIT_S)


def failing_for(n: int, how: Callable[[], None]) -> Handler:
    def handler(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        if event.n == n:
            how()

    return handler


def test_many_that_are_due_share_a_transaction() -> None:
    park(64)
    with CaptureQueriesContext(connection) as ran:
        assert retry_due(leave_row) is None
    taken = [query for query in ran.captured_queries if "skip locked" in query["sql"]]
    assert len(taken) == 3  # 32, 32, none
    assert len(rows()) == 64
    assert ParkedDelivery.objects.count() == 0


def test_those_before_one_whose_part_is_away_are_made_all_the_same() -> None:
    def away() -> None:
        raise Transient("cache")

    park(5)
    outcome = retry_due(failing_for(3, away))
    assert isinstance(outcome, Away)
    assert [n for _, n in rows()] == [0, 1, 2]
    assert set(ParkedDelivery.objects.values_list("attempts", flat=True)) == {1}


def test_one_whose_commit_fails_costs_the_others_nothing() -> None:
    def refuse() -> None:
        raise ValueError("after all")

    def leave_for_the_commit(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        if event.n == 3:
            transaction.on_commit(refuse)

    park(5)
    assert retry_due(leave_for_the_commit) is None
    assert sorted(n for _, n in rows()) == [0, 1, 2, 3, 4]


def test_what_they_publish_together_does_not_count_as_one_deliverys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "KEYS_MOST", 10)

    def publish_many(event: Counted, _: Delivery) -> None:
        publish.publish_all([Counted(name=f"{event.name}-{n}", n=n) for n in range(6)])

    park(3)
    assert retry_due(publish_many) is None
    assert OutboxRecord.objects.count() == 18
    assert ParkedDelivery.objects.count() == 0
