"""Just enough of a transaction pooler: each transaction of a client runs in whichever server session is free.

The sessions take turns, so that a client's next transaction runs in another one.
Source: https://www.postgresql.org/docs/current/protocol-flow.html.
"""

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from urllib.parse import urlsplit

_ENCRYPTION = (80877103, 80877104)  # requests that come before the start, and are declined
_READY = b"Z"
_IDLE = b"I"
_KEY = b"K"
_ENDS_A_REQUEST = (b"Q", b"S")
_SESSIONS = 2


class Pooler:
    """Listens on loopback; no authentication, no TLS."""

    def __init__(self, target: int, *, hides_process: bool) -> None:
        self._target, self._hides_process = target, hides_process
        self._free: deque[socket.socket] = deque()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def url(self, direct: str) -> str:
        parts = urlsplit(direct)
        port = self._listener.getsockname()[1]
        return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}").geturl()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for opened in self._open:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for opened in [self._listener, *self._open]:
            opened.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.sendall(self._start(_startup(client)))
            for request in _requests(client):
                self._run(request, client)

    def _start(self, startup: bytes) -> bytes:
        """Open the sessions; gives what the first of them said to its client."""
        greetings = []
        for _ in range(_SESSIONS):
            session = socket.create_connection(("127.0.0.1", self._target))
            session.sendall(startup)
            greetings.append(b"".join(self._shown(kind, body) for kind, body in _until_ready(session)))
            self._open.append(session)
            self._free.append(session)
        return greetings[0]

    def _shown(self, kind: bytes, body: bytes) -> bytes:
        if kind == _KEY and self._hides_process:
            body = struct.pack("!i", 4711) + body[4:]
        return _packed(kind, body)

    def _run(self, request: bytes, client: socket.socket) -> None:
        """One request, in the session that has been free for longest until its transaction is over."""
        session = self._free.popleft()
        session.sendall(request)
        for kind, body in _until_ready(session):
            client.sendall(_packed(kind, body))
        assert body == _IDLE, "a client that opens no transaction of its own is all that this serves"
        self._free.append(session)


def _startup(client: socket.socket) -> bytes:
    while True:
        size = _exactly(client, 4)
        body = _exactly(client, struct.unpack("!i", size)[0] - 4)
        if struct.unpack("!i", body[:4])[0] not in _ENCRYPTION:
            return size + body
        client.sendall(b"N")


def _requests(client: socket.socket) -> Iterator[bytes]:
    while True:
        request, kind = b"", b""
        while kind not in _ENDS_A_REQUEST:
            kind, body = _message(client)
            request += _packed(kind, body)
        yield request


def _until_ready(session: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    kind = b""
    while kind != _READY:
        kind, body = _message(session)
        yield kind, body


def _message(peer: socket.socket) -> tuple[bytes, bytes]:
    kind, size = struct.unpack("!ci", _exactly(peer, 5))
    return kind, _exactly(peer, size - 4)


def _packed(kind: bytes, body: bytes) -> bytes:
    return struct.pack("!ci", kind, len(body) + 4) + body


def _exactly(peer: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = peer.recv(size - len(received))
        if not chunk:
            raise ConnectionAbortedError
        received += chunk
    return received
