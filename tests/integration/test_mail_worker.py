"""From a handler to the mailbox by a real worker: what it survives, and what it refuses."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.conf import settings as django_settings
from pytest_django import DjangoDbBlocker

from accounts import tasks
from accounts.models import OutsideCall
from accounts.outside import queue
from devstack import Stack
from devstack.places import CHECKOUT
from events.testing import deliver
from events.trace import following
from tests.integration.mailing import (
    Mailbox,
    as_time_goes_by,
    environ_for_processes,
    owed_to,
    registered_user,
    registration_of,
    reread,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACE = f"00-{TRACE_ID}-b7ad6b7169203331-01"


class Worker:
    """A worker and its log."""

    def __init__(self, log: Path) -> None:
        self._log = log
        command = [sys.executable, "-m", "celery", "-A", "usercenter", "worker", "--without-mingle"]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command, env=environ_for_processes(), cwd=CHECKOUT, stdout=out, stderr=subprocess.STDOUT
            )

    @property
    def tasks(self) -> set[str]:
        """The names of those that it would run, by its own word."""
        told = current_app.control.inspect(timeout=10, limit=1).registered()
        assert told is not None
        return {name for names in told.values() for name in names}

    def said(self, text: str) -> list[dict[str, Any]]:
        """The log's lines with this in them."""
        lines = self._log.read_text().splitlines()
        return [json.loads(line) for line in lines if text in line and line.startswith("{")]


@pytest.fixture(scope="module")
def worker(
    parts: Stack, django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """Started while its queue is away: that every test below passes shows that it waits."""
    with ExitStack() as until_the_end:
        parts.valkey.stop()
        until_the_end.callback(parts.valkey.start)
        with django_db_blocker.unblock():
            worker = Worker(tmp_path_factory.mktemp("worker") / "log")
        until_the_end.callback(worker.process.kill)
        wait_for(lambda: worker.said("Cannot connect to redis"))
        parts.valkey.start()
        wait_for(lambda: worker.said(" ready."))
        yield worker
        worker.process.terminate()
        assert worker.process.wait(timeout=30) == 0


def test_a_registration_is_followed_by_its_mail_under_the_same_trace(worker: Worker, mailbox: Mailbox) -> None:
    user = registered_user()

    with following(TRACE):
        event_id = deliver(registration_of(user))

    wait_for(mailbox.mails)
    [mail] = mailbox.mails()
    assert mail["To"] == "ann@example.com"
    wait_for(lambda: OutsideCall.objects.filter(settled_at__isnull=False).exists())
    [line] = [line for line in worker.said("mail sent") if line["key"] == f"{event_id}/send-welcome"]
    assert (line["trace_id"], line["kind"]) == (TRACE_ID, "welcome")
    assert line["call_id"] == str(OutsideCall.objects.get().id)
    assert 0 < line["ms"] < 10_000
    assert worker.said("ann@") == []


def test_the_sweep_brings_what_no_worker_was_told_of(worker: Worker, mailbox: Mailbox) -> None:
    call = owed_to(registered_user().id)

    tasks.sweep_outside_calls.delay()

    wait_for(lambda: reread(call).settled_at)
    assert len(mailbox.mails()) == 1


def test_beat_asks_for_tasks_that_the_worker_has(worker: Worker) -> None:
    asked = {entry["task"] for entry in django_settings.CELERY_BEAT_SCHEDULE.values()}

    assert asked >= {"accounts.tasks.sweep_outside_calls", "accounts.tasks.end_graces", "usercenter.tasks.prune"}
    assert asked | {queue.SETTLE_CALL} <= worker.tasks


def test_a_worker_outlasts_a_restart_of_its_queue(worker: Worker, parts: Stack, mailbox: Mailbox) -> None:
    parts.valkey.kill()
    deliver(registration_of(registered_user()))
    parts.valkey.start()

    tasks.sweep_outside_calls.delay()

    wait_for(mailbox.mails)
    wait_for(lambda: OutsideCall.objects.filter(settled_at__isnull=False).exists())
    assert len(mailbox.mails()) == 1


# a taker that dies -------------------------------------------------------------------------------------------


SWEEP = "import django; django.setup(); from accounts.outside import attempts; attempts.sweep()"


def test_a_taker_that_dies_is_followed_by_another_after_its_lease(mailbox: Mailbox) -> None:
    call = owed_to(registered_user().id)
    with socket.create_server(("127.0.0.1", 0)) as silent_mail_server:
        silent_mail_server.settimeout(30)
        address = f"smtp://127.0.0.1:{silent_mail_server.getsockname()[1]}"
        env = environ_for_processes() | {"EMAIL_URL": address, "DJANGO_SETTINGS_MODULE": "usercenter.settings"}
        with subprocess.Popen([sys.executable, "-c", SWEEP], env=env, cwd=CHECKOUT) as taker:
            connection, _ = silent_mail_server.accept()
            taker.kill()
        connection.close()

    tasks.sweep_outside_calls()
    assert mailbox.mails() == []

    as_time_goes_by(call)
    tasks.sweep_outside_calls()
    assert [mail["Message-ID"] for mail in mailbox.mails()] == [f"<{call.id}@localhost>"]
