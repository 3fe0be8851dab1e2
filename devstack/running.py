"""One part alive: started, watched, signalled and ended. The supervisor holds one `Running` per part.

All starts happen on the supervisor's only thread: the kernel ties a child's parent-death signal to the thread.
"""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, STDOUT, Process, create_subprocess_exec
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types

from devstack import ports
from devstack.bound import bound
from devstack.errors import DevstackError
from devstack.parts.part import Part
from devstack.places import CHECKOUT
from devstack.watchdog import Watchdog

_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 20.0


class Running:
    """A part's process, or the memory of it."""

    def __init__(self, part: Part, *, log: Path, watchdog: Watchdog) -> None:
        self.part = part
        self._log = log
        self._watchdog = watchdog
        self._process: Process | None = None
        self._paused = False

    @property
    def pid(self) -> int | None:
        """The server's process id while it lives."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def state(self) -> str:
        """`running`, `paused`, or how it went."""
        if self._process is None:
            return "not started"
        if self._process.returncode is not None:
            return f"ended ({self._process.returncode})"
        return "paused" if self._paused else "running"

    async def start(self) -> None:
        """Set up what is missing, start, and return when it is ready for clients."""
        if self.pid is not None:
            return
        self.part.configure()
        if not self.part.made.exists():
            for argv in self.part.set_up:
                process = await self._spawn(argv)
                if await process.wait():
                    raise DevstackError(f"{self.part.name} could not be set up:\n{self._tail()}")
            self.part.made.touch()
        seen = self._log.stat().st_size if self._log.exists() else 0
        self._forget()
        self._process = await self._spawn(self.part.argv)
        self._watchdog.add(self._process.pid, self.part.stop_signal)
        await self._ready(self._process, seen)

    async def stop(self) -> None:
        """End it in an orderly way; by force after a limit."""
        await self._end(self.part.stop_signal)

    async def kill(self) -> None:
        """End it without warning, with its children."""
        await self._end(signal.SIGKILL)

    async def pause(self) -> None:
        """Hold it and its children still: connections stay open and nobody answers."""
        self._signal(signal.SIGSTOP)
        self._paused = True

    async def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)
        self._paused = False

    async def _spawn(self, argv: list[str]) -> Process:
        command = bound(argv, self.part.stop_signal)
        with self._log.open("ab") as output:
            return await create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=output, stderr=STDOUT, cwd=CHECKOUT,
                env=os.environ | {"LC_ALL": "C"}, start_new_session=True,
            )  # fmt: skip

    async def _ready(self, process: Process, seen: int) -> None:
        deadline = asyncio.get_running_loop().time() + _START_LIMIT_S
        while self.part.ready_line not in self._said_since(seen):
            if process.returncode is not None:
                raise DevstackError(f"{self.part.name} ended while starting{self._port_hint()}:\n{self._tail()}")
            if asyncio.get_running_loop().time() > deadline:
                raise DevstackError(f"{self.part.name} was not ready in {_START_LIMIT_S:.0f} s:\n{self._tail()}")
            await asyncio.sleep(0.02)

    def _said_since(self, seen: int) -> bytes:
        with self._log.open("rb") as log:
            log.seek(seen)
            return log.read()

    def _port_hint(self) -> str:
        taken = [str(port) for port in self.part.ports if not ports.is_free(port)]
        return f" (port {', '.join(taken)} is taken by somebody else)" if taken else ""

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join(f"    {line}" for line in lines)

    def _family(self) -> list[psutil.Process]:
        """The server first, then all below it."""
        if self.pid is None:
            return []
        try:
            server = psutil.Process(self.pid)
            return [server, *server.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _signal(self, number: signal.Signals) -> None:
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _forget(self) -> None:
        """The process is gone, and its id may become somebody else's."""
        if self._process is not None:
            self._watchdog.drop(self._process.pid)
        self._paused = False

    async def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        family = self._family()
        if self.pid is not None:
            if number is signal.SIGKILL:
                self._signal(number)
            else:
                process.send_signal(number)
            # A paused process takes no other signal.
            if self._paused:
                await self.resume()
        try:
            await asyncio.wait_for(process.wait(), _STOP_LIMIT_S)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await process.wait()
        # PostgreSQL's children hold the memory that a restart wants.
        await asyncio.to_thread(psutil.wait_procs, family[1:], timeout=_STOP_LIMIT_S)
        self._forget()
