"""`stack()`: real parts for as long as a `with` block lasts. Used by tests, demo, benchmarks and the runner.

Where each address comes from, in this order: the environment; containers when STACK=containers; the embedded stack.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack import client
from devstack.client import Line
from devstack.containers import in_containers
from devstack.errors import DevstackError
from devstack.places import Places

# The address that makes a part ours or somebody else's, and the one that follows from it where it is not given.
_ADDRESSES = {
    "postgres": ("DATABASE_URL", "DATABASE_DIRECT_URL"),
    "kafka": ("KAFKA_BROKERS", None),
    "valkey": ("REDIS_URL", "CELERY_BROKER_URL"),
    "smtp": ("EMAIL_URL", None),
}


PARTS = list(_ADDRESSES)


@dataclass(frozen=True, slots=True)
class PartHandle:
    """One embedded part, to be ended and brought back by tests of faults. Its port stays the same."""

    name: str
    line: Line | None

    def start(self) -> None:
        """Start it again; returns when it is ready. Nothing happens where it runs."""
        self._ask("start")

    def stop(self) -> None:
        """End it in an orderly way; returns when it is gone."""
        self._ask("stop")

    def kill(self) -> None:
        """SIGKILL it and its children; returns when they are gone."""
        self._ask("kill")

    def pause(self) -> None:
        """SIGSTOP it and its children: connections stay open, nobody answers."""
        self._ask("pause")

    def resume(self) -> None:
        """SIGCONT."""
        self._ask("resume")

    @property
    def ports(self) -> list[int]:
        """Its ports, in the order in which `devstack.parts` names them."""
        ports: list[int] = self._ask("status")["parts"][self.name]["ports"]
        return ports

    def _ask(self, action: str) -> dict[str, Any]:
        if self.line is None:
            raise DevstackError(f"{self.name} is not this stack's own: its address was given, or it is a container.")
        answer = self.line.ask(action, part=self.name)
        if answer is None:
            raise DevstackError("The stack's supervisor is gone.")
        return answer


@dataclass(frozen=True, slots=True)
class Stack:
    """The parts as their user sees them."""

    environ: dict[str, str]
    mailbox: Path
    postgres: PartHandle
    kafka: PartHandle
    valkey: PartHandle
    smtp: PartHandle


@contextmanager
def stack(name: str, *, fresh: bool = False, given: Mapping[str, str] = os.environ) -> Iterator[Stack]:
    """Start the stack `name`, or attach to it, and hold it until the block ends.

    `fresh`: on empty folders, removed again afterwards; an error where a stack of that name runs.
    `given`: where addresses and STACK are looked up; `{}` for parts of one's own whatever the environment says.
    """
    places = Places(name)
    with ExitStack() as until_the_end:
        environ = _given(given)
        if given.get("STACK") == "containers":
            environ |= until_the_end.enter_context(in_containers(_missing(environ)))
        line, own = None, _missing(environ)
        if own:
            line, addresses = client.hold(places, parts=own, fresh=fresh)
            until_the_end.callback(line.leave)
            environ |= addresses
        handles = {part: PartHandle(part, line if part in own else None) for part in _ADDRESSES}
        yield Stack(environ=environ, mailbox=places.mailbox, **handles)


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for main, second in _ADDRESSES.values():
        if main in environ:
            found[main] = environ[main]
            if second:
                found[second] = environ.get(second, environ[main])
    return found


def _missing(environ: Mapping[str, str]) -> list[str]:
    return [part for part, (main, _) in _ADDRESSES.items() if main not in environ]
