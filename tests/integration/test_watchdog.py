"""A loop that stands still ends its process, one that was paused does not; no wait for PostgreSQL is endless."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection

from devstack import Stack
from devstack.places import CHECKOUT
from events.inbox import session
from events.inbox.session import waits_bounded
from tests.faults.proxy import in_front_of

# Twenty looks a second, and twenty in vain are too many. It goes round until somebody writes to it.
_PROGRAM = """
import logging, select, sys, time
logging.basicConfig(format="%(message)s %(stack)s", level="CRITICAL", stream=sys.stdout)
from events.inbox import watchdog
from events.probes import Health
watchdog._LOOK_EVERY_S, watchdog._LOOKS_MOST = 0.05, 20
health = Health()
def hang():
    time.sleep(60)  # it is to hang: the watchdog ends the process long before
with watchdog.watched(health):
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        health.went_round()
        print("round", flush=True)
    hang()
"""


@contextmanager
def watched_process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], cwd=CHECKOUT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "usercenter.settings"},
    ) as process:  # fmt: skip
        yield process
        process.kill()


def hear(process: subprocess.Popen[str], rounds: int) -> None:
    assert process.stdout
    assert [process.stdout.readline() for _ in range(rounds)] == ["round\n"] * rounds


def test_a_loop_that_hangs_ends_its_process_which_says_where_it_stood() -> None:
    with watched_process() as process:
        told, _ = process.communicate("hang", timeout=60)
    assert process.returncode == os.EX_SOFTWARE
    assert "consumer hangs" in told
    assert "in hang" in told


def test_a_process_that_was_paused_for_longer_than_a_hang_may_take_goes_on() -> None:
    with watched_process() as process:
        hear(process, 1)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)  # waits for nothing: it is the pause itself
        process.send_signal(signal.SIGCONT)
        hear(process, 120)  # a look, and twenty more


@pytest.mark.django_db(transaction=True)
def test_a_session_without_an_answer_is_closed_and_the_next_one_answers(
    parts: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_MARGIN_S", 0.2)
    with in_front_of(parts.postgres) as proxy, by_way_of(proxy.port, statement_timeout="300ms"), waits_bounded():
        assert answer() == 1
        proxy.half_open()
        too_late = threading.Timer(15, proxy.cut)
        too_late.start()
        with pytest.raises(OperationalError):
            answer()
        assert too_late.is_alive()
        too_late.cancel()
        assert connection.connection.closed
        proxy.heal()
        connection.close()
        assert answer() == 1


@contextmanager
def by_way_of(port: int, *, statement_timeout: str) -> Iterator[None]:
    """Django's connection leads through this port."""
    connection.close()
    before = connection.settings_dict
    options = before["OPTIONS"] | {"options": f"-c statement_timeout={statement_timeout}"}
    connection.settings_dict = before | {"HOST": "127.0.0.1", "PORT": str(port), "OPTIONS": options}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = before


def answer() -> int:
    with connection.cursor() as cursor:
        cursor.execute("select 1")
        return int(cursor.fetchone()[0])
