"""What a person at a terminal and a dashboard see of a running relay: the progress line and the backlog."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from devstack import Stack
from events import observe
from events.conf import EventsSettings
from events.models import OutboxRecord, TopicPartitions
from events.outbox.partitions import pause
from events.outbox.progress import progress_shown
from tests.integration.operating import outbox
from tests.integration.relaying import (
    CHECKOUT,
    Noted,
    RelayProcess,
    Topics,
    commit,
    database_url,
    pending,
    relay_process,
)
from tests.waiting import LIMIT_S, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

CLEAR_LINE = "\r\x1b[2K"


def backlog(keys: int, of_each: int) -> None:
    for n in range(of_each):
        commit(*(Noted(of=str(key), n=n) for key in range(keys)))


# The progress line --------------------------------------------------------------------------------------------


@contextmanager
def draining(*, errors: int) -> Iterator[subprocess.Popen[str]]:
    """`manage.py relay_outbox --drain` on the tests' database, with `errors` as its standard error."""
    topics = {f"KAFKA_TOPIC_{key.upper()}": name for key, name in EventsSettings.current().topics.items()}
    ours = {"DATABASE_URL": database_url(), "DATABASE_DIRECT_URL": database_url(), "DEBUG": "on"}
    with subprocess.Popen(
        [sys.executable, "manage.py", "relay_outbox", "--drain", "--port", "0"],
        cwd=CHECKOUT, env=os.environ | topics | ours, text=True, stdout=subprocess.DEVNULL, stderr=errors,
    ) as running:  # fmt: skip
        yield running
        running.kill()


def all_of(terminal: int) -> str:
    """What was written to the other side until nobody had it open any more."""
    written = b""
    while True:
        try:
            written += os.read(terminal, 4096)
        except OSError:  # EIO: closed over there
            return written.decode()


def test_on_a_terminal_one_line_counts_what_was_published(own_topics: Topics) -> None:
    backlog(keys=40, of_each=30)
    mine, theirs = pty.openpty()
    with draining(errors=theirs) as relay:
        os.close(theirs)
        seen = all_of(mine)
        assert relay.wait(LIMIT_S) == 0
    os.close(mine)

    assert seen.startswith(CLEAR_LINE)
    assert seen.endswith("\r\n")
    shown = seen.removesuffix("\r\n").split(CLEAR_LINE)[1:]
    assert [line for line in shown if not re.fullmatch(r"[\d,]+ published, [\d,]+/s since the start", line)] == []
    counts = [int(line.split()[0].replace(",", "")) for line in shown]
    assert (counts[0], counts[-1]) == (0, 1_200)
    assert counts == sorted(counts)
    assert shown[-1].startswith("1,200 published, ")
    assert not shown[-1].startswith("1,200 published, 0/s")


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_that_stays_has_everything_and_nothing_of_an_earlier_run() -> None:
    observe.record_acknowledged(topic="earlier", seconds=[0.01, 0.01])
    terminal = Terminal()
    with progress_shown(terminal):
        observe.record_acknowledged(topic="now", seconds=[0.01] * 3)
    *_, last = terminal.getvalue().split(CLEAR_LINE)
    assert last.startswith("3 published, ")
    assert last.endswith("\n")


def test_where_there_is_no_terminal_nothing_is_shown(own_topics: Topics) -> None:
    backlog(keys=5, of_each=1)
    with draining(errors=subprocess.PIPE) as relay:
        _, errors = relay.communicate(timeout=LIMIT_S)
    assert (relay.returncode, errors) == (0, "")
    assert pending() == 0


# The backlog's metrics ----------------------------------------------------------------------------------------


@pytest.fixture
def paused(own_topics: Topics) -> str:
    """A topic to which nothing is sent."""
    call_command("kafka", "topics", "create", stdout=StringIO())
    assert pause(own_topics.user_events)
    return own_topics.user_events


def metric(relay: RelayProcess, name: str) -> float:
    [value] = re.findall(rf"^{name} (\S+)$", relay.get("/metrics"), re.MULTILINE)
    return float(value)


def records(relay: RelayProcess) -> float:
    return metric(relay, "outbox_pending_records")


def age_s(relay: RelayProcess) -> float:
    return metric(relay, "outbox_oldest_pending_seconds")


def assert_the_backlog_is_told_and_grows_older(relay: RelayProcess, *, of: int) -> None:
    wait_for(lambda: records(relay) == of)
    before = age_s(relay)
    wait_for(lambda: age_s(relay) > before + 1)
    assert records(relay) == of


def assert_nothing_is_pending(relay: RelayProcess) -> None:
    wait_for(lambda: (records(relay), age_s(relay)) == (0, 0))


def test_the_dead_are_told_until_they_are_requeued(own_topics: Topics) -> None:
    backlog(keys=2, of_each=1)
    OutboxRecord.objects.update(dead_at=timezone.now())
    with relay_process() as relay:
        wait_for(relay.is_ready)
        wait_for(lambda: metric(relay, "outbox_dead_records") == 2)
        outbox("requeue", "--all-dead")
        wait_for(lambda: metric(relay, "outbox_dead_records") == 0)
        assert_nothing_is_pending(relay)


def test_the_backlog_of_a_paused_topic_is_told_until_it_is_drained(paused: str) -> None:
    backlog(keys=7, of_each=2)
    with relay_process() as relay:
        wait_for(relay.is_ready)
        assert_the_backlog_is_told_and_grows_older(relay, of=14)
        TopicPartitions.objects.filter(topic=paused).update(paused_at=None)
        assert_nothing_is_pending(relay)
    assert pending() == 0


def test_the_backlog_without_a_broker_is_told_until_it_is_drained(own_topics: Topics, broker: Stack) -> None:
    with relay_process() as relay:
        wait_for(relay.is_ready)
        assert_nothing_is_pending(relay)
        broker.kafka.pause()
        backlog(keys=3, of_each=1)
        assert_the_backlog_is_told_and_grows_older(relay, of=3)
        broker.kafka.resume()
        assert_nothing_is_pending(relay)
    assert pending() == 0
