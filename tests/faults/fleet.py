"""Real processes to be killed: relays and the load that they carry, each with its own environment and log.

Independent of Django, so that tests and `benchmarks.chaos` use it alike. What it starts is bound to this process
and ended by its id; broker and postmaster are the stack's (`devstack.Stack`), which kills and pauses them.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import LiteralString, Self

import psycopg

from devstack.bound import bound
from devstack.places import CHECKOUT

LIMIT_S = 30.0
_LOOK_EVERY_S = 0.05
_WRITER = "import django; django.setup(); from tests.faults import writer; writer.main()"
_IMPATIENT = """
import manage
from events.outbox import shards
shards._STUCK_AFTER_S, shards._LOOKS_MOST = 5.0, 20
manage.main()
"""
_NEWEST = 2**63 - 1
_COUNT = "select count(*) from events_outbox where"


class DiedByItself(AssertionError):
    """A process ended that nobody had told to; the message has its last lines."""


class Process:
    """One process, running from its making on; `log` has its output."""

    def __init__(self, name: str, argv: list[str], *, environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._log = log
        self._is_told = False
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                bound(argv, signal.SIGKILL), cwd=CHECKOUT, env=dict(environ), stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, paused or not; returns when it is gone."""
        self._is_told = True
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """SIGSTOP: its connections stay open, and it does nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def terminate(self, *, within_s: float = LIMIT_S) -> int:
        """SIGTERM; gives the exit code. Raises subprocess.TimeoutExpired."""
        self.ask_to_end()
        return self.exit_code(within_s=within_s)

    def ask_to_end(self) -> None:
        """SIGTERM, and no more."""
        self._is_told = True
        self._process.terminate()

    def exit_code(self, *, within_s: float = LIMIT_S) -> int:
        """Its code, once it has ended. Raises subprocess.TimeoutExpired."""
        return self._process.wait(within_s)

    def may_end(self) -> None:
        """From now on, its end is no surprise."""
        self._is_told = True

    def has_said(self, text: str) -> bool:
        return text in self._log.read_text(errors="replace")

    def check(self) -> None:
        """Raise DiedByItself where it has."""
        if not self.is_alive and not self._is_told:
            raise DiedByItself("\n".join([f"it ended with {self._process.returncode}", *self.last_lines(15)]))

    def last_lines(self, number: int) -> list[str]:
        """Of its output, each headed by its name."""
        return [f"{self.name}: {line}" for line in self._log.read_text(errors="replace").splitlines()[-number:]]


class Fleet:
    """Processes on one database and topic, as long as the `with` block lasts. Logs go to `folder`."""

    def __init__(self, *, environ: Mapping[str, str], folder: Path) -> None:
        self._environ = dict(environ)
        self._folder = folder
        self._processes: list[Process] = []
        self._onlooker: psycopg.Connection[tuple[int]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for process in self._processes:
            process.kill()
        self._close()

    @property
    def database_url(self) -> str:
        return self._environ["DATABASE_URL"]

    def relay(self, *arguments: str, **environ: str) -> Process:
        """`manage.py relay_outbox`, whose probes get a free port."""
        argv = [sys.executable, "manage.py", "relay_outbox", "--port", "0", *arguments]
        return self._start("relay", argv, environ)

    def impatient_relay(self, **environ: str) -> Process:
        """One that gives up its shards after a hang of 5 s, not 10, and ends itself after 10 s, not 40."""
        return self._start("relay", [sys.executable, "-c", _IMPATIENT, "relay_outbox", "--port", "0"], environ)

    def consumer(self, program: str, *arguments: str, **environ: str) -> Process:
        """`program` is Python that runs `consume_events`, with the topic and these arguments."""
        topic = self._environ["KAFKA_TOPIC_USER_EVENTS"]
        argv = [sys.executable, "-c", program, "consume_events", "--topics", topic, "--group", topic, *arguments]
        return self._start("consumer", argv, environ)

    def writer(self, *, threads: int = 3, events_most: int = 5, per_s: int = 40) -> Process:
        """The load, on 20 keys; each thread tries `per_s` transactions a second of up to so many events."""
        numbers = map(str, (threads, events_most, per_s))
        return self._start("writer", [sys.executable, "-c", _WRITER, *numbers], {})

    def wait(self, holds: Callable[[], object], *, within_s: float = LIMIT_S) -> None:
        """Return once it holds. Raises DiedByItself, or AssertionError after the limit."""
        deadline = time.monotonic() + within_s
        while not holds():
            for process in self._processes:
                process.check()
            assert time.monotonic() < deadline, self._state(within_s)
            time.sleep(_LOOK_EVERY_S)

    def _state(self, waited_s: float) -> str:
        last = [line for process in self._processes if process.is_alive for line in process.last_lines(5)]
        return "\n".join([f"it did not come about within {waited_s:.0f} s; {self.pending()} are pending", *last])

    def wait_for_more(self, records: int, *, within_s: float = LIMIT_S) -> None:
        """Until so many more records are marked published than now."""
        least = self.published() + records
        self.wait(lambda: self.published() >= least, within_s=within_s)

    def wait_until_pending(self, records: int) -> None:
        """Until so many records wait."""
        self.wait(lambda: self.pending() >= records)

    def wait_until_drained(self, *, within_s: float = LIMIT_S) -> None:
        """Until the outbox has nothing pending."""
        self.wait(lambda: self.pending() == 0, within_s=within_s)

    def has_session(self, process: Process) -> bool:
        """Whether the process has a connection to the database."""
        return self.ask("select count(*) from pg_stat_activity where application_name = %s", process.name) > 0

    def reading_port(self, process: Process) -> int:
        """The port from which PostgreSQL sees the process's reading connection come; waits until it reads."""
        seen = [0]

        def is_seen() -> bool:
            seen.append(self._reading_port(process))
            return seen[-1] > 0

        self.wait(is_seen)
        return seen[-1]

    def _reading_port(self, process: Process) -> int:
        query = (
            "select coalesce(max(client_port), 0) from pg_stat_activity"
            " where application_name = %s and query like '%%pg_current_snapshot%%'"  # the one statement that reads
        )
        return self.ask(query, process.name)

    def newest(self) -> int:
        """The highest id of a committed record."""
        return self.ask("select coalesce(max(id), 0) from events_outbox")

    def pending(self, *, up_to: int = _NEWEST) -> int:
        """Records neither published nor dead, up to an id."""
        return self.ask(f"{_COUNT} published_at is null and dead_at is null and id <= %s", up_to)

    def published(self) -> int:
        return self.ask(f"{_COUNT} published_at is not null")

    def dead(self) -> int:
        return self.ask(f"{_COUNT} dead_at is not null")

    def ask(self, query: LiteralString, *values: object) -> int:
        """The number that a query of one row gives, as an onlooker sees it."""
        try:
            return self._ask_once(query, *values)
        except psycopg.OperationalError:  # PostgreSQL may have been killed since the last one
            self._close()
            return self._ask_once(query, *values)

    def _ask_once(self, query: LiteralString, *values: object) -> int:
        if self._onlooker is None:
            self._onlooker = psycopg.connect(self.database_url, autocommit=True)
        row = self._onlooker.execute(query, values).fetchone()
        assert row
        return int(row[0])

    def _close(self) -> None:
        if self._onlooker is not None:
            self._onlooker.close()
        self._onlooker = None

    def _start(self, kind: str, argv: list[str], environ: Mapping[str, str]) -> Process:
        name = f"{kind}-{len(self._processes)}"
        env = {**os.environ, **self._environ, **environ, "PGAPPNAME": name, "PYTHONUNBUFFERED": "1"}
        process = Process(name, argv, environ=env, log=self._folder / f"{name}.log")
        self._processes.append(process)
        return process


def environment(*, database_url: str, topic: str, brokers: str) -> dict[str, str]:
    """What a fleet's processes need beside the stack's addresses."""
    return {
        "DATABASE_URL": database_url,
        "DATABASE_DIRECT_URL": database_url,
        "DEBUG": "on",
        "DJANGO_SETTINGS_MODULE": "usercenter.settings",
        "KAFKA_BROKERS": brokers,
        "KAFKA_TOPIC_USER_EVENTS": topic,
    }
