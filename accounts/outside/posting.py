"""One POST to a stranger's server, without being led inside: what `webhooks` sends through.

The name is resolved once, every address it gives must be public, and one of these very addresses is connected to, so a
name that leads elsewhere a moment later leads nowhere. No redirect is followed and no proxy asked. Of the answer its
head is read, and no more of it than HEAD_BYTES_MOST. All of it ends by one deadline, however slowly bytes drip.
"""

import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from io import BufferedReader, RawIOBase
from ipaddress import ip_address
from threading import Thread
from typing import TYPE_CHECKING

from accounts.receivers import Address, Receiver, is_public
from events.errors import Retryable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

HEAD_BYTES_MOST = 64 * 1024

Resolver = Callable[[str, int], Sequence[Address]]


class NoAnswer(Retryable):
    """No connection, or no answer in HTTP; told by its class, never by what the other side wrote."""


class TookTooLong(NoAnswer):
    """The deadline came first."""


class AddressRefused(Retryable):
    """The name leads to an address that is not public, be it one of several."""


class AnswerTooLong(HTTPException):
    """Of the answer's head alone there is more than is read."""


def resolved_by_system(host: str, port: int) -> list[Address]:
    """All addresses of a name, as this machine resolves it; of an address in text, that one. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(where[0]).partition("%")[0]) for *_, where in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Poster:
    """Sends to receivers within `within_s`, and to private addresses only where that is allowed."""

    resolve: Resolver
    tls: ssl.SSLContext
    allow_private: bool
    within_s: float

    def post(self, receiver: Receiver, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer. Raises NoAnswer, TookTooLong, AddressRefused."""
        deadline = _Deadline(self.within_s)
        try:
            with ExitStack() as until_the_end:
                line = _Line(self._connected(receiver, deadline, until_the_end), deadline)
                connection = HTTPConnection(receiver.host, receiver.port)
                connection.sock = line
                sent = {"Host": receiver.authority, "Connection": "close", **headers}
                connection.request("POST", receiver.target, body=body, headers=sent)
                return connection.getresponse().status
        except TimeoutError:
            raise TookTooLong(f"no answer within {self.within_s:g} s") from None
        except (OSError, HTTPException) as error:
            raise NoAnswer(type(error).__name__) from None

    def _connected(self, receiver: Receiver, deadline: "_Deadline", until_the_end: ExitStack) -> socket.socket:
        addresses = self._addresses(receiver, deadline)
        plain = until_the_end.enter_context(_first_connected(addresses, receiver.port, deadline))
        if receiver.scheme == "http":
            return plain
        plain.settimeout(deadline.left_s())
        # The certificate must be good for the name in the URL, whatever the address.
        return until_the_end.enter_context(self.tls.wrap_socket(plain, server_hostname=receiver.host))

    def _addresses(self, receiver: Receiver, deadline: "_Deadline") -> Sequence[Address]:
        found: Future[Sequence[Address]] = Future()

        def look_up() -> None:
            try:
                found.set_result(self.resolve(receiver.host, receiver.port))
            except Exception as error:  # noqa: BLE001 - it is raised by who waits for the result
                found.set_exception(error)

        # The system's resolver knows no deadline; its thread ends by itself, and holds up no process.
        Thread(target=look_up, name="resolve", daemon=True).start()
        addresses = found.result(timeout=deadline.left_s())
        if not self.allow_private and not all(map(is_public, addresses)):
            raise AddressRefused("leads to an address that is not public")
        return addresses


def _first_connected(addresses: Sequence[Address], port: int, deadline: "_Deadline") -> socket.socket:
    """A connection to the first that takes one; each has its share of the time, so a dead one leaves some."""
    failure = OSError("the name has no address")
    for tried, address in enumerate(addresses):
        share_s = deadline.left_s() / (len(addresses) - tried)
        try:
            return socket.create_connection((str(address), port), timeout=share_s)
        except OSError as error:
            failure = error
    raise failure


class _Deadline:
    def __init__(self, within_s: float) -> None:
        self._at = time.monotonic() + within_s

    def left_s(self) -> float:
        """Raises TimeoutError where nothing is left."""
        left_s = self._at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


class _Line:
    """A connection as http.client uses one, with the deadline. It is closed by who opened it."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: "ReadableBuffer") -> None:
        self._sock.settimeout(self._deadline.left_s())
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> BufferedReader:
        return BufferedReader(_Answer(self._sock, self._deadline))

    def close(self) -> None:
        pass


class _Answer(RawIOBase):
    """What comes back, with the deadline and a limit."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        self._left_bytes = HEAD_BYTES_MOST

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if self._left_bytes <= 0:
            raise AnswerTooLong
        self._sock.settimeout(self._deadline.left_s())
        count = self._sock.recv_into(buffer)
        self._left_bytes -= count
        return count
