"""As little of HTTP/1.1 as a measurement needs: requests built beforehand, kept connections, answers found whole.

Of the standard library alone, and used by whatever must not take the time that it measures.
"""

import json
import socket
from collections.abc import Mapping
from typing import Any

_PATIENCE_S = 60.0
_CHUNK_BYTES = 65_536
_LENGTH = b"\r\nContent-Length: "


class Connection:
    """One kept connection to a port of this machine, for one request at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def send(self, content: bytes) -> None:
        """Ask."""
        self.socket.sendall(content)

    def receive(self) -> bytes | None:
        """The answer, if what has come by now is all of it. Raises ConnectionError where nothing can come any more."""
        chunk = self.socket.recv(_CHUNK_BYTES)
        if not chunk:
            raise ConnectionResetError("hung up before the answer was whole")
        self._received += chunk
        if not _is_whole(self._received):
            return None
        answer, self._received = self._received, b""
        return answer

    def ask(self, content: bytes) -> bytes:
        """Send, and wait for the answer."""
        self.send(content)
        while (answer := self.receive()) is None:
            pass
        return answer


def request(
    method: str, path: str, *, body: Mapping[str, Any] | None = None, token: str = "", if_match: str = ""
) -> bytes:
    """What to send: a JSON body where there is one, a bearer token and a condition likewise."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "User-Agent: benchmark", "Accept: application/json"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if if_match:
        lines.append(f"If-Match: {if_match}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def status_of(answer: bytes) -> int:
    """The number in its first line."""
    return int(answer[9:12])


def body_of(answer: bytes) -> bytes:
    """What comes after the headers."""
    return answer.partition(b"\r\n\r\n")[2]


def _is_whole(received: bytes) -> bool:
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return False
    length = received.index(_LENGTH, 0, head + 2) + len(_LENGTH)
    return len(received) - head - 4 >= int(received[length : received.index(b"\r", length)])
