"""What a batch costs in statements and savepoints: a few, however many events it holds and some of them fail."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from accounts.event_types import UserLoggedIn
from accounts.models import LastLogin, LoginRecord
from accounts.routes import ROUTES
from events.envelope import Stamp, seal
from events.inbox import batch
from events.inbox.group import Group
from events.kafka import Record
from events.models import InboxRecord
from events.routing import Route, on, on_batch
from tests.integration.batching import (
    TIMESTAMP_MS,
    Refusing,
    RefusingBatches,
    effects_of,
    group_of,
    records_of,
    waiting,
)  # fmt: skip
from tests.integration.counting import Counted

pytestmark = pytest.mark.usefixtures("effects")

SIZE = 500
KEYS = 250
GUILTY = (7, 101, 199, 283, 499)
NAMES = [f"k{n % KEYS}" for n in range(SIZE)]
NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
BATCHED = ("log", "last", "check")


def batched() -> list[Route]:
    return [on_batch(Counted, RefusingBatches(), name=name) for name in BATCHED]


def statements_of(work: Callable[[], object]) -> list[str]:
    """Every statement that the work sends, those that begin, end and save a transaction among them."""
    with CaptureQueriesContext(connection) as captured:
        work()
    return [query["sql"].strip() for query in captured.captured_queries]


def login(user_id: UUID, n: int) -> Record:
    event = UserLoggedIn(
        user_id=user_id, version=1, session_id=uuid7(), at=NINE + timedelta(seconds=n), device=f"device {n % 3}",
        ip=f"203.0.{n % 4}.7",
    )  # fmt: skip
    stamp = Stamp(id=uuid7(), source="https://tests.example", time=NINE, traceparent="")
    envelope = seal(event, topic="user.events", stamp=stamp)
    return Record("user.events", 0, n, TIMESTAMP_MS, envelope.key.encode(), tuple(envelope.headers), envelope.value)


def test_a_batch_of_logins_takes_twelve_statements_at_most() -> None:
    users = [uuid7() for _ in range(KEYS)]
    logins = [login(users[n % KEYS], n) for n in range(SIZE)]
    statements = statements_of(lambda: batch.handle(logins, Group(name="test", routes=ROUTES)))
    assert [statements[0], statements[-1]] == ["BEGIN", "COMMIT"]
    assert len(statements) <= 12, statements
    assert LoginRecord.objects.count() == InboxRecord.objects.count() == SIZE
    assert set(LastLogin.objects.values_list("user_id", "at")) == {
        (user, NINE + timedelta(seconds=KEYS + n)) for n, user in enumerate(users)
    }


def test_the_number_of_statements_does_not_grow_with_the_batch() -> None:
    few = statements_of(lambda: batch.handle(records_of(NAMES[:2]), group_of(*batched(), name="few")))
    many = statements_of(lambda: batch.handle(records_of(NAMES), group_of(*batched(), name="many")))
    assert len(few) == len(many) <= 12


@pytest.mark.parametrize("carefully", [False, True], ids=["in the first batch", "where failures are expected"])
def test_one_failing_event_in_a_hundred_costs_few_savepoints_and_nobody_elses_delivery(*, carefully: bool) -> None:
    group = group_of(*batched(), on(Counted, Refusing(*GUILTY), name="single"))
    sent = statements_of(lambda: batch.handle(records_of(NAMES), group, carefully=carefully))

    assert len([statement for statement in sent if statement.startswith("SAVEPOINT")]) <= 40
    behind = {n + KEYS for n in GUILTY if n + KEYS < SIZE}
    assert waiting() == [(NAMES[n], n, n in GUILTY) for n in sorted({*GUILTY, *behind})]
    everything = list(zip(NAMES, range(SIZE), strict=True))
    for name in BATCHED:
        assert effects_of(name) == everything
    assert effects_of("single") == [(name, n) for name, n in everything if n not in {*GUILTY, *behind}]


def test_a_single_failing_delivery_is_not_made_again_and_the_others_once_more() -> None:
    handler = Refusing(3)
    batch.handle(records_of(NAMES[:100]), group_of(on(Counted, handler, name="single")))
    calls: dict[int, int] = defaultdict(int)
    for n in handler.calls:
        calls[n] += 1
    assert calls == {n: 1 if n >= 3 else 2 for n in range(100)}
