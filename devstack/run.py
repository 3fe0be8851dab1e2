"""The whole application in the foreground: `python -m devstack run`, which is `make run`.

Comes after the stack: migrates, makes the topics, starts web, relay, consumer, worker and beat, and waits for Ctrl-C.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from io import TextIOBase
from subprocess import PIPE, STDOUT
from typing import TextIO

from devstack import ports
from devstack.api import Stack, stack
from devstack.bound import bound
from devstack.errors import DevstackError
from devstack.places import CHECKOUT, Places
from devstack.processes import Processes

_PYTHON = sys.executable
_READY_LIMIT_S = 90.0


def application(name: str) -> int:
    """Run every process on the stack `name` until Ctrl-C. Raises DevstackError when one ends by itself."""
    port = _wanted_port()
    with (
        _signals_as_exit(),
        contextlib.suppress(KeyboardInterrupt),
        stack(name) as parts,
        started(parts, name=name, port=port, out=sys.stdout) as processes,
    ):
        print(_welcome(port, parts, name), flush=True)
        processes.wait()
    return 0


@contextlib.contextmanager
def started(parts: Stack, *, name: str, port: int, out: TextIO | TextIOBase) -> Iterator[Processes]:
    """The application on `parts`, migrated and ready to be called on `port`; ended with the block.

    `name` is the stack's; what the processes print goes to `out`.
    """
    env = environment(parts, port)
    for command in (["migrate", "--no-input"], ["kafka", "topics", "create"]):
        manage(command, env=env, out=out)
    with Processes(out=out) as processes:
        for process, argv in _commands(name).items():
            processes.start(process, argv, env=env)
        _wait_until_ready(port, processes)
        yield processes


def environment(parts: Stack, port: int) -> dict[str, str]:
    """What the application's processes, and its commands, are started with."""
    return {**_defaults(port), **os.environ, **parts.environ, "PORT": str(port)}


def manage(arguments: list[str], *, env: Mapping[str, str], out: TextIO | TextIOBase) -> None:
    """Run a command of manage.py to its end. Raises DevstackError with what it said when it fails."""
    command = bound([_PYTHON, "manage.py", *arguments], signal.SIGTERM)
    ended = subprocess.run(command, cwd=CHECKOUT, env=env, stdout=PIPE, stderr=STDOUT, text=True, check=False)
    if ended.returncode:
        raise DevstackError(f"manage.py {' '.join(arguments)} failed:\n{ended.stdout}")
    out.write(ended.stdout)


def _commands(name: str) -> dict[str, list[str]]:
    """The processes of the application, in the order in which they start."""
    celery = [_PYTHON, "-m", "celery", "-A", "usercenter"]
    return {
        "web": [_PYTHON, "-m", "gunicorn", "-c", "python:usercenter.gunicorn", "usercenter.wsgi"],
        "relay": [_PYTHON, "manage.py", "relay_outbox"],
        "consumer": [_PYTHON, "manage.py", "consume_events"],
        "worker": [*celery, "worker"],
        "beat": [*celery, "beat", "--schedule", str(Places(name).folder / "beat-schedule")],
    }


def _wanted_port() -> int:
    wanted = os.environ.get("PORT", "8080")
    if not wanted.isdecimal() or not 0 < int(wanted) < 65536:  # noqa: PLR2004  # the highest port there is
        raise DevstackError(f"PORT must be a port number: got {wanted!r}.")
    if not ports.is_free(int(wanted)):
        raise DevstackError(f"Port {wanted} is taken. Choose another with PORT=, like: make run PORT=8081")
    return int(wanted)


def _defaults(port: int) -> dict[str, str]:
    """What the environment may say otherwise."""
    relay, consumer = (str(number if ports.is_free(number) else 0) for number in (9101, 9102))
    return {
        "DEBUG": "on",
        "PORT": str(port),
        "PUBLIC_URL": f"http://localhost:{port}",
        "RELAY_PORT": relay,
        "CONSUMER_PORT": consumer,
        "KAFKA_CONSUMER_FROM": "earliest",
        "PYTHONUNBUFFERED": "1",
    }


def _wait_until_ready(port: int, processes: Processes) -> None:
    deadline = time.monotonic() + _READY_LIMIT_S
    while not _is_ready(port):
        processes.check()
        if time.monotonic() > deadline:
            raise DevstackError(f"The web process was not ready within {_READY_LIMIT_S:.0f} s.")
        time.sleep(0.1)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except OSError:
        return False


def _welcome(port: int, parts: Stack, name: str) -> str:
    address = f"http://localhost:{port}"
    devstack = "python -m devstack" + (f" --stack {name}" if name != "main" else "")
    return f"""
  API        {address}/api/v1/
  API docs   {address}/api/v1/docs
  admin      {address}/admin/
  mailbox    {parts.mailbox}  ({devstack} mail)
  Kafka      {parts.environ["KAFKA_BROKERS"]}  ({devstack} kafka-topics --list)

  Ctrl-C ends everything.
"""


@contextlib.contextmanager
def _signals_as_exit() -> Iterator[None]:
    """Leave by way of every `with` block when told to end, or when the terminal goes."""
    before = {number: signal.signal(number, lambda got, _: sys.exit(128 + got)) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_ENDING = (signal.SIGTERM, signal.SIGHUP)
