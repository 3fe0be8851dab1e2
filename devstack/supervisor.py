"""The process that holds a stack's parts: `python -m devstack.supervisor NAME [--fresh]`.

Started by `client`, which then connects. A connection that said `hold` is a holder for as long as it is open, so that
a holder's death, however sudden, is noticed by the kernel. When the last one is gone the parts end in order.
Messages are JSON, one object a line; the first of a connection carries the token.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import sys
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from typing import Any

from devstack.errors import DevstackError
from devstack.fleet import Fleet
from devstack.places import Places
from devstack.watchdog import Watchdog

LOCKED = 75
_FIRST_HOLDER_LIMIT_S = 30.0
_ACTIONS = {"start", "stop", "kill", "pause", "resume"}


class Supervisor:
    """Holders on one side, the fleet of parts on the other."""

    def __init__(self, places: Places, *, fresh: bool) -> None:
        self._places = places
        self._fresh = fresh
        self._token = secrets.token_urlsafe(24)
        self._holders: set[StreamWriter] = set()
        self._left_open: list[StreamWriter] = []
        self._kept_up = False
        self._over = asyncio.Event()
        self._fleet = Fleet(places, watchdog=Watchdog(), say=self._say)

    async def run(self, listening: int) -> None:
        """Serve until the last holder is gone, then end the parts. `listening` gets a byte once it can be called."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._over.set)
        loop.call_later(_FIRST_HOLDER_LIMIT_S, self._end_if_alone)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._publish(server.sockets[0].getsockname()[1])
        os.write(listening, b"1")
        os.close(listening)
        await self._over.wait()
        self._places.control.unlink(missing_ok=True)
        server.close()
        await self._fleet.stop()
        if self._fresh:
            self._clear_away()

    def _clear_away(self) -> None:
        # Connections are still open: whoever waits for their end finds nothing left.
        shutil.rmtree(self._places.folder, ignore_errors=True)
        self._places.supervisor_log.unlink()
        self._places.lock.unlink()

    def _publish(self, port: int) -> None:
        control = self._places.control
        unfinished = control.with_suffix(".part")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps({"port": port, "token": self._token, "pid": os.getpid()}))
        unfinished.rename(control)

    def _say(self, text: str) -> None:
        """Tell those who wait for the parts, and the log."""
        print(text, flush=True)
        for holder in self._holders:
            _send(holder, {"progress": text})

    def _end_if_alone(self) -> None:
        if not self._holders and not self._kept_up:
            self._over.set()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                request = json.loads(line)
                if not secrets.compare_digest(request.pop("token", ""), self._token) or self._over.is_set():
                    break
                _send(writer, await self._answer(request, writer))
        if writer in self._holders:
            self._holders.discard(writer)
            self._end_if_alone()
        # At the end connections stay open until the process is gone: that is how a caller knows that all is done.
        if self._over.is_set():
            self._left_open.append(writer)
        else:
            writer.close()

    async def _answer(self, request: dict[str, Any], writer: StreamWriter) -> dict[str, Any]:
        try:
            return await self._do(writer, **request)
        except DevstackError as error:
            return {"error": str(error)}

    async def _do(self, writer: StreamWriter, *, do: str, **details: Any) -> dict[str, Any]:
        match do:
            case "hold":
                self._holders.add(writer)
                return {"environ": await self._fleet.ensure(details["parts"])}
            case "keep-up" | "let-down":
                self._kept_up = do == "keep-up"
                self._end_if_alone()
                return {"holders": len(self._holders)}
            case "status":
                return {"parts": self._fleet.status(), "holders": len(self._holders), "kept_up": self._kept_up}
            case action if action in _ACTIONS:
                await self._fleet.act(action, details["part"])
                return {"pid": self._fleet.pid(details["part"])}
        raise DevstackError(f"unknown request {do!r}")


def _send(writer: StreamWriter, message: dict[str, Any]) -> None:
    if not writer.is_closing():
        writer.write(json.dumps(message).encode() + b"\n")


def _take(lock: Path) -> None:
    """Lock the stack for as long as this process lives; or leave."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A fresh stack's end may have removed the file between our opening and our locking.
        same = lock.stat().st_ino == os.fstat(descriptor).st_ino
    except (BlockingIOError, FileNotFoundError):
        same = False
    if not same:
        sys.exit(LOCKED)


def _detach(log: Path) -> int:
    """Go on as a process of nobody's; the starter leaves when a byte comes through the returned descriptor."""
    read, write = os.pipe()
    if os.fork():
        os.close(write)
        os._exit(0 if os.read(read, 1) else 1)
    os.close(read)
    os.setsid()
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    return write


def main() -> None:
    """Take the lock, detach, serve, clean."""
    places, fresh = Places(sys.argv[1]), "--fresh" in sys.argv
    _take(places.lock)
    listening = _detach(places.supervisor_log)
    if fresh:
        shutil.rmtree(places.folder, ignore_errors=True)
    places.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_supervise(places, fresh, listening))


async def _supervise(places: Places, fresh: bool, listening: int) -> None:  # noqa: FBT001  # private
    await Supervisor(places, fresh=fresh).run(listening)


if __name__ == "__main__":
    main()
