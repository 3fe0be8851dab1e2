"""Listening to Valkey: what is kept there may be gone before anybody looks."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import redis

from tests.waiting import wait_for


class Overheard:
    """Everything that anyone sends to Valkey: cached values and tasks alike, however soon they are gone."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._heard = bytearray()
        address = urlsplit(url)
        self._socket = socket.create_connection((str(address.hostname), int(address.port or 0)))
        self._socket.sendall(b"MONITOR\r\n")
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self.text("it listens")

    def text(self, marker: str) -> str:
        """So far, up to a word of our own."""
        with redis.Redis.from_url(self._url) as client:
            wait_for(lambda: client.echo(marker) and marker.encode() in self._heard)
        return self._heard.decode(errors="replace")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def _listen(self) -> None:
        while chunk := self._socket.recv(65_536):
            self._heard += chunk


@contextmanager
def overhearing(url: str) -> Iterator[Overheard]:
    overheard = Overheard(url)
    try:
        yield overheard
    finally:
        overheard.close()
