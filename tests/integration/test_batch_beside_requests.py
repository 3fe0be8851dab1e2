"""Requests beside a consumer's batch for the same users: neither waits for the other, and none deadlocks."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from django.db import connection, transaction

import accounts.handlers
from accounts.models import User
from events.inbox import batch
from events.inbox.group import Group
from events.models import OutboxRecord
from events.outbox.publish import publish
from events.routing import Delivery, on
from tests.integration.batching import LIMIT_S, beside, group_of, record, wait_for_a_blocked_session, waiting
from tests.integration.counting import Counted, leave_row, raw
from tests.integration.mailing import registered_user
from tests.integration.relaying import Noted
from tests.integration.test_user_triggers import renamed

pytestmark = pytest.mark.usefixtures("effects")


class Told(Noted, frozen=True, kw_only=True):
    """A notice to somebody."""

    type = "test.told"
    topic = "user_notifications"


def tell(event: Counted, delivery: Delivery) -> None:
    leave_row(event, delivery)
    publish(Told(of=event.name, n=event.n))


def telling() -> Group:
    return group_of(on(Counted, tell, name="tell"))


def rename(user_id: UUID) -> None:
    """As the API does: the row is locked and changed, then its event published."""
    with transaction.atomic():
        (user,) = User.objects.locked([user_id])
        User.objects.filter(id=user.id).update(display_name="x", version=user.version + 1)
        publish(renamed(user, user.version + 1))


@pytest.fixture
def held_back(effects: None) -> Iterator[None]:
    """Nobody who has left a row gets to commit while somebody holds the lock 4711."""
    with connection.cursor() as cursor:
        cursor.execute(
            "create function hold_back() returns trigger language plpgsql as"
            " $$ begin perform pg_advisory_xact_lock_shared(4711); return null; end $$;"
            "create constraint trigger held_back after insert on effects deferrable initially deferred"
            " for each row execute function hold_back()"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("drop function hold_back cascade")


@pytest.mark.usefixtures("held_back")
def test_a_request_does_not_wait_for_a_batch_that_has_published_to_its_user() -> None:
    user = registered_user()
    polled = [record(raw(0, str(user.id)))]
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(4711)")
        with beside(lambda: batch.handle(polled, telling())):
            wait_for_a_blocked_session()
            rename(user.id)
            assert OutboxRecord.objects.filter(topic="user.notifications").count() == 0
            cursor.execute("select pg_advisory_unlock(4711)")
    assert OutboxRecord.objects.filter(topic="user.notifications").count() == 1
    assert User.objects.get().version == 2


def test_a_batch_does_not_wait_for_a_request_that_has_its_user() -> None:
    user = registered_user()
    polled = [record(raw(0, str(user.id)))]
    with transaction.atomic():
        rename(user.id)
        with beside(lambda: batch.handle(polled, telling())) as handled:
            assert handled.result(LIMIT_S).away is None
    assert OutboxRecord.objects.filter(topic="user.notifications").count() == 1


def test_requests_and_batches_for_the_same_users_never_deadlock() -> None:
    users = [registered_user(name, email=f"{name}@example.com").id for name in ("ann", "bob", "cid")]

    def rename_them() -> None:
        for n in range(30):
            rename(users[n % 3])

    names = [str(user) for user in (*users, *reversed(users))]
    with beside(rename_them):
        for first in range(0, 90, len(names)):
            polled = [record(raw(first + n, name), first + n) for n, name in enumerate(names)]
            assert batch.handle(polled, telling()).settled == {("user.events", 0): first + len(names)}
    assert waiting() == []
    assert set(User.objects.values_list("version", flat=True)) == {11}


def test_no_handler_of_ours_writes_the_users_table_or_locks_its_rows() -> None:
    """They would be locked until the batch commits, and requests would wait; but nobody waits for who is erased."""
    files = list(Path(accounts.handlers.__file__).parent.glob("*.py"))
    sources = {path.name: without_docstrings(path.read_text(encoding="utf-8")) for path in files}
    assert len(sources) > 4
    writing = r"(insert into|update|delete from)\s+accounts_user\b|for (no key )?update|select_for_update|\.locked\("
    writing += r"|\bUser\.objects\.(create|update|bulk|delete)|\.save\(|\bservices\b"
    assert [name for name, source in sources.items() if re.search(writing, source)] == []
    assert [name for name, source in sources.items() if "erasure" in source] == ["cleanup.py"]


def without_docstrings(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    return ast.unparse(tree)
