"""A TCP proxy in front of one part, to cut it off from the service alone: nobody else notices."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK = 65_536


class Proxy:
    """Passes connections on to `target`; while cut, ends them all and takes no new one."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: set[socket.socket] = set()
        self._is_cut = False
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """The part is away for as long as this lasts."""
        self._is_cut = True
        for ends in list(self._sockets):
            _end(ends)
        try:
            yield
        finally:
            self._is_cut = False

    def close(self) -> None:
        """End everything."""
        _end(self._listener)
        for ends in list(self._sockets):
            _end(ends)

    def _accept(self) -> None:
        with self._listener, contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._is_cut:
                    near.close()
                else:
                    self._join(near, socket.create_connection(self._target))

    def _join(self, near: socket.socket, far: socket.socket) -> None:
        self._sockets |= {near, far}
        for from_, to in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=(from_, to), daemon=True).start()

    def _pump(self, from_: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := from_.recv(CHUNK):
                to.sendall(chunk)
        _end(to)
        from_.close()
        self._sockets.discard(from_)


def _end(ends: socket.socket) -> None:
    with contextlib.suppress(OSError):
        ends.shutdown(socket.SHUT_RDWR)
