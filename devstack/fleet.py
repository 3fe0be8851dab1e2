"""All parts of one stack: started together as far as they are wanted, ended in order. Owned by the supervisor."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from devstack import ports
from devstack.errors import DevstackError
from devstack.java import kafka_home
from devstack.parts.kafka import Kafka
from devstack.parts.part import Part
from devstack.parts.postgres import Postgres
from devstack.parts.smtp import Smtp
from devstack.parts.valkey import Valkey
from devstack.places import CHECKOUT, Places
from devstack.running import Running
from devstack.watchdog import Watchdog

# How each is made from the stack's folder and its ports, and how many ports it takes.
# The order is that of the end: what the others may still write to goes last.
_KINDS: dict[str, tuple[Callable[[Path, list[int]], Part], int]] = {
    "kafka": (Kafka, 4),
    "valkey": (Valkey, 1),
    "smtp": (Smtp, 1),
    "postgres": (Postgres, 1),
}
_KAFKA_PORT = 9092
_TRIES = 3


class Fleet:
    """The parts that somebody has asked for so far."""

    def __init__(self, places: Places, *, watchdog: Watchdog, say: Callable[[str], None]) -> None:
        self._places = places
        self._watchdog = watchdog
        self._say = say
        self._parts: dict[str, Running] = {}
        # One change at a time: two holders may ask for the same part at once.
        self._changing = asyncio.Lock()

    async def ensure(self, names: Iterable[str]) -> dict[str, str]:
        """Start those that were never started, and give the addresses of all `names`."""
        async with self._changing:
            missing = [name for name in names if name not in self._parts]
            if "kafka" in missing and not (kafka_home() / "training.log").exists():
                await self._get_jars()
            if missing:
                self._say(f"starting {', '.join(missing)}")
            await asyncio.gather(*map(self._begin, missing))
            self._remember_ports()
        return {key: value for name in names for key, value in self._parts[name].part.environ.items()}

    async def act(self, action: str, name: str) -> None:
        """Start, stop, kill, pause or resume one part."""
        async with self._changing:
            await getattr(self._known(name), action)()

    async def stop(self) -> None:
        """End all, one after the other."""
        async with self._changing:
            for _, running in self._in_order():
                await running.stop()

    def status(self) -> dict[str, dict[str, Any]]:
        """State, process id, ports and addresses of each part."""
        return {
            name: {
                "state": running.state,
                "pid": running.pid,
                "ports": running.part.ports,
                "environ": running.part.environ,
            }
            for name, running in self._in_order()
        }

    def pid(self, name: str) -> int | None:
        """The part's process id while it lives."""
        return self._known(name).pid

    def _in_order(self) -> list[tuple[str, Running]]:
        return [(name, self._parts[name]) for name in _KINDS if name in self._parts]

    def _known(self, name: str) -> Running:
        if name not in self._parts:
            raise DevstackError(f"This stack has no {name}.")
        return self._parts[name]

    async def _begin(self, name: str) -> None:
        """Start a part on ports of its own; on others when somebody was quicker to take them."""
        kind, count = _KINDS[name]
        for attempt in range(1, _TRIES + 1):
            part = kind(self._places.folder, ports.choose(count, rather=self._wish(name)))
            running = Running(part, log=self._places.log(name), watchdog=self._watchdog)
            try:
                await running.start()
            except DevstackError:
                await running.stop()
                if attempt == _TRIES or all(map(ports.is_free, part.ports)):
                    raise
            else:
                self._parts[name] = running
                return

    def _wish(self, name: str) -> list[int]:
        """Last time's ports; for the main stack's broker the one that every Kafka tool knows."""
        last: list[int] = self._last_ports().get(name, [])
        if name == "kafka" and self._places.name == "main" and ports.is_free(_KAFKA_PORT):
            return [_KAFKA_PORT, *ports.choose(3, rather=last[1:])]
        return last

    def _last_ports(self) -> dict[str, list[int]]:
        file = self._places.ports
        return json.loads(file.read_text()) if file.exists() else {}

    def _remember_ports(self) -> None:
        now = {name: running.part.ports for name, running in self._parts.items()}
        self._places.ports.write_text(json.dumps(self._last_ports() | now))

    async def _get_jars(self) -> None:
        command = [sys.executable, "-m", "devstack.jars"]
        process = await create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, cwd=CHECKOUT)
        assert process.stdout is not None  # noqa: S101  # for the type checker: PIPE was asked for
        assert process.stderr is not None  # noqa: S101  # likewise
        async for line in process.stdout:
            self._say(line.decode().rstrip())
        error = await process.stderr.read()
        if await process.wait():
            raise DevstackError(f"The Kafka jars could not be fetched from Maven Central: {error.decode().strip()}")
