"""The command as a process: ended by signals under load, and joined by another one."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from django.db import connection

from tests.integration.consuming import ChildMember, Member, committed, wait_until
from tests.integration.counting import raw, rows
from tests.integration.raw_records import Topic

pytestmark = pytest.mark.usefixtures("effects")

PARTITIONS = 3
EACH = 400
# Small batches, so that a signal comes between two; the least session the broker takes; rebalances seen soon.
QUICK = {
    "KAFKA_CONSUMER_BATCH": "20",
    "KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "6000",
    "KAFKA_CONSUMER_HEARTBEAT_MS": "300",
}


@pytest.fixture
def children() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def write_numbered(topic: Topic, start: int, count: int) -> None:
    """`count` events to each partition, numbered on, each partition with a key of its own."""
    for partition in range(PARTITIONS):
        topic.write(*(raw(n, f"name-{partition}") for n in range(start, start + count)), partition=partition)


def each_once_in_order(count: int) -> bool:
    return all(
        rows(f"name-{partition}") == [(f"name-{partition}", n) for n in range(count)] for partition in range(PARTITIONS)
    )


def members_at_work() -> int:
    with connection.cursor() as cursor:
        cursor.execute("select count(distinct pid) from effects")
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_end_under_load_loses_nothing_and_doubles_nothing(
    topic: Topic, children: ExitStack, how: signal.Signals, code: int
) -> None:
    write_numbered(topic, 0, EACH)
    child = children.enter_context(ChildMember(topic, **QUICK))
    wait_until(lambda: len(rows()) >= 60)
    assert child.end(how) == code
    handled = len(rows())
    assert handled < PARTITIONS * EACH
    if how is signal.SIGTERM:
        assert sum(committed(topic).values()) == handled
    Member(topic).run_once()
    assert each_once_in_order(EACH)


def test_a_second_member_takes_its_share_under_load_and_each_event_has_one_effect(
    topic: Topic, children: ExitStack
) -> None:
    first = children.enter_context(ChildMember(topic, **QUICK))
    write_numbered(topic, 0, 100)
    wait_until(lambda: members_at_work() == 1)
    second = children.enter_context(ChildMember(topic, **QUICK))
    written = 100
    while members_at_work() < 2:
        assert written < 20_000
        write_numbered(topic, written, 20)
        written += 20
    assert second.end(signal.SIGTERM) == 0
    write_numbered(topic, written, 20)
    wait_until(lambda: len(rows()) >= PARTITIONS * (written + 20))
    assert first.end(signal.SIGTERM) == 0
    assert each_once_in_order(written + 20)
