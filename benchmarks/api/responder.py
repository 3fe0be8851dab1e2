"""Answers whatever comes with the same bytes: `python -m benchmarks.api.responder PORT`, until SIGTERM.

What `load` gets from this is the most that it can tell of any server on this machine.
"""

import selectors
import signal
import socket
import sys

_BODY = b"x" * 400
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY
_CHUNK_BYTES = 65_536


def main(port: int) -> None:
    """Serve."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with socket.create_server(("127.0.0.1", port), backlog=128) as server, selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is server:
                    selector.register(server.accept()[0], selectors.EVENT_READ)
                elif isinstance(key.fileobj, socket.socket):
                    _answer(selector, key.fileobj)


def _answer(selector: selectors.BaseSelector, caller: socket.socket) -> None:
    # A request is short and comes in one piece.
    if caller.recv(_CHUNK_BYTES):
        caller.sendall(_ANSWER)
    else:
        selector.unregister(caller)
        caller.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
