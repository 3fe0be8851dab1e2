"""The command as a process, ended by a signal under load; what befalls several of them: tests/faults."""

import signal

import pytest

from tests.integration.consuming import ChildMember, Member, committed
from tests.integration.counting import raw, rows
from tests.integration.raw_records import Topic
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("effects")

PARTITIONS = 3
EACH = 300


def test_sigterm_under_load_commits_all_that_was_handled_and_no_more(topic: Topic) -> None:
    for partition in range(PARTITIONS):
        topic.write(*(raw(n, f"name-{partition}") for n in range(EACH)), partition=partition)
    # Small batches, so that the signal comes between two.
    with ChildMember(topic, KAFKA_CONSUMER_BATCH="20") as child:
        wait_for(lambda: len(rows()) >= 60)
        assert child.end(signal.SIGTERM) == 0
    handled = len(rows())
    assert handled < PARTITIONS * EACH
    assert sum(committed(topic).values()) == handled
    Member(topic).run_once()
    for name in (f"name-{partition}" for partition in range(PARTITIONS)):
        assert rows(name) == [(name, n) for n in range(EACH)]
