"""A TCP proxy in front of Kafka, PostgreSQL or Valkey, so that a part fails for one client and for nobody else.

Stands between the process under test, whose address of the part is the proxy's, and the part itself. For Kafka the
broker has a second listener that it advertises at the proxy's port: clients follow what is advertised.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from devstack.api import PartHandle

_LIMIT_S = 10.0
_CHUNK = 65_536
_CHUNKS_ON_THEIR_WAY = 64  # what a delay may hold in one direction
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing throws away what is unsent, and sends RST

_Direction = asyncio.Queue[tuple[float, bytes]]  # when it is due, and what


@contextmanager
def in_front_of(part: PartHandle) -> Iterator["Proxy"]:
    """A proxy in front of one of the stack's own parts, until the block ends. Raises DevstackError for a given one."""
    if part.name == "kafka":
        _, _, target, port = part.ports
    else:
        target, port = part.ports[0], 0
    proxy = Proxy(("127.0.0.1", target), port=port)
    try:
        yield proxy
    finally:
        proxy.close()


class Proxy:
    """Passes connections on to `target` until told otherwise; `heal` ends every kind of fault.

    Runs in a thread of its own. Each method returns when the fault is there.
    """

    def __init__(self, target: tuple[str, int], *, port: int = 0) -> None:
        self._target = target
        self._delay_s = 0.0
        self._flows = _Flow()
        self._flow_from: dict[int, _Flow] = {}
        self._links: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self.port = port
        self._do(self._listen())

    @property
    def address(self) -> str:
        """HOST:PORT for the client under test."""
        return f"127.0.0.1:{self.port}"

    def url(self, direct: str) -> str:
        """`direct`, a URL of the part, by way of this proxy."""
        parts = urlsplit(direct)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}{self.address}").geturl()

    def cut(self) -> None:
        """Reset all connections; new ones are passed on."""
        self._do(self._reset())

    def refuse(self) -> None:
        """Reset all connections, and listen no more."""
        self._do(self._stop_listening())

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """The same for as long as the block lasts."""
        self.refuse()
        try:
            yield
        finally:
            self.heal()

    def delay(self, seconds: float) -> None:
        """Let every byte arrive so much later, in both directions."""
        self._delay_s = seconds

    def half_open(self) -> None:
        """Keep connections, take new ones, and pass nothing on either way, not even an end.

        The kernel still acknowledges the bytes, so no timeout of TCP notices. What was held back flows when healed.
        """
        self._do(self._hold())

    def half_open_only(self, port: int) -> None:
        """The same for the one connection that the part sees coming from this port. Raises KeyError."""
        self._do(self._hold_only(port))

    def heal(self) -> None:
        """Pass on again what comes, at once; connections that were reset stay gone."""
        self._do(self._pass())

    def close(self) -> None:
        """End everything, the thread too."""
        self._do(self._stop_listening())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_LIMIT_S)
        self._loop.close()

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(_LIMIT_S)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._link, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        await self._reset()

    async def _reset(self) -> None:
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _hold(self) -> None:
        self._flows.clear()

    async def _hold_only(self, port: int) -> None:
        self._flow_from[port].clear()

    async def _pass(self) -> None:
        self._delay_s = 0.0
        for flow in (self._flows, *self._flow_from.values()):
            flow.set()
        if self._server is None:
            await self._listen()

    async def _link(self, near_reader: StreamReader, near: StreamWriter) -> None:
        """One connection, from its making to its end; cancelled, it is reset on both sides."""
        task = asyncio.current_task()
        assert task
        self._links.add(task)
        task.add_done_callback(self._links.discard)
        # The loop would tell of a cancelled one as of a crash.
        with contextlib.suppress(OSError, asyncio.CancelledError), _closed_after(near):
            await self._flows.wait()
            far_reader, far = await asyncio.open_connection(*self._target)
            port: int = far.get_extra_info("sockname")[1]
            flow = self._flow_from[port] = _Flow()
            try:
                with _closed_after(far):
                    await self._pump_both(((near_reader, far), (far_reader, near)), flow)
            finally:
                del self._flow_from[port]

    async def _pump_both(self, ways: tuple[tuple[StreamReader, StreamWriter], ...], flow: "_Flow") -> None:
        """Until one way ends, which ends the other."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for source, sink in ways:
                    direction = _Direction(_CHUNKS_ON_THEIR_WAY)
                    tasks.create_task(self._read(source, direction))
                    tasks.create_task(self._write(direction, sink, flow))
        except* OSError:
            pass

    async def _read(self, source: StreamReader, direction: _Direction) -> None:
        """Up to the end, however it comes: an empty chunk, which waits in line as the others do."""
        chunk = b"?"
        while chunk:
            try:
                chunk = await source.read(_CHUNK)
            except OSError:
                chunk = b""
            await direction.put((self._loop.time() + self._delay_s, chunk))

    async def _write(self, direction: _Direction, sink: StreamWriter, flow: "_Flow") -> None:
        """Whatever is due. Raises OSError at the end."""
        while True:
            due, chunk = await direction.get()
            await asyncio.sleep(due - self._loop.time())  # the delay that it was told to make
            await flow.wait()
            await self._flows.wait()
            if not chunk:
                raise ConnectionAbortedError
            sink.write(chunk)
            await sink.drain()


class _Flow(asyncio.Event):
    """Set while bytes may pass; made set."""

    def __init__(self) -> None:
        super().__init__()
        self.set()


@contextmanager
def _closed_after(writer: StreamWriter) -> Iterator[None]:
    try:
        yield
    except asyncio.CancelledError:
        opened: socket.socket = writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        writer.transport.abort()
        raise
    finally:
        writer.close()
