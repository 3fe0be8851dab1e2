"""A holder's line to a stack's supervisor, which it starts where there is none. Used by `api` and the command line."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from typing import Any, Self

from devstack.errors import DevstackError
from devstack.places import CHECKOUT, Places
from devstack.supervisor import LOCKED

# A first start fetches the Kafka jars.
_ANSWER_LIMIT_S = 600.0
_END_LIMIT_S = 60.0


class Line:
    """One connection; several threads may use it."""

    def __init__(self, connection: socket.socket, token: str) -> None:
        self._connection = connection
        self._token = token
        self._answers = connection.makefile("rb")
        self._turn = threading.Lock()

    @classmethod
    def to(cls, places: Places) -> Self | None:
        """A line to the running supervisor; None where none runs."""
        with contextlib.suppress(OSError):
            control = json.loads(places.control.read_text())
            address = ("127.0.0.1", control["port"])
            return cls(socket.create_connection(address, timeout=_ANSWER_LIMIT_S), control["token"])
        return None

    def ask(self, do: str, **details: object) -> dict[str, Any] | None:
        """The answer, progress shown while waiting for it; None where the supervisor is ending."""
        with self._turn:
            request = {"token": self._token, "do": do, **details}
            try:
                self._connection.sendall(json.dumps(request).encode() + b"\n")
                return self._answer()
            except ConnectionError:
                return None

    def _answer(self) -> dict[str, Any] | None:
        for line in self._answers:
            answer: dict[str, Any] = json.loads(line)
            if "progress" in answer:
                print(f"devstack: {answer['progress']}", file=sys.stderr, flush=True)
            elif "error" in answer:
                raise DevstackError(answer["error"])
            else:
                return answer
        return None

    def leave(self) -> None:
        """Stop holding; where nobody else holds, return when all parts have ended."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.settimeout(_END_LIMIT_S)
            self._answers.read()
        self.close()

    def close(self) -> None:
        """Let go without waiting."""
        self._answers.close()
        self._connection.close()


def hold(places: Places, *, parts: list[str], fresh: bool) -> tuple[Line, dict[str, str]]:
    """A line that keeps `parts` alive until it is left, and their addresses."""
    deadline = time.monotonic() + _END_LIMIT_S
    while time.monotonic() < deadline:
        line, started = Line.to(places), False
        if line is None:
            started = _start(places, fresh=fresh)
            line = Line.to(places)
        if line and fresh and not started:
            line.close()
            raise DevstackError(f"The stack {places.name!r} is running; a fresh one cannot be made under its name.")
        if line and (answer := _ask_to_hold(line, parts)):
            return line, answer["environ"]
        # A supervisor that is just starting or just ending has the lock and does not answer.
        time.sleep(0.05)
    raise DevstackError(f"The supervisor of the stack {places.name!r} does not answer: see {places.supervisor_log}.")


def _ask_to_hold(line: Line, parts: list[str]) -> dict[str, Any] | None:
    try:
        answer = line.ask("hold", parts=parts)
    except DevstackError:
        line.leave()
        raise
    if answer is None:
        line.close()
    return answer


def _start(places: Places, *, fresh: bool) -> bool:
    """Whether a supervisor was started; not where one has the lock."""
    command = [sys.executable, "-m", "devstack.supervisor", places.name, *(["--fresh"] if fresh else [])]
    ended = subprocess.run(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ended.returncode not in {0, LOCKED}:
        raise DevstackError(f"The supervisor did not start:\n{ended.stderr or places.supervisor_log.read_text()}")
    return ended.returncode == 0


def addresses(places: Places) -> dict[str, str]:
    """Where the parts of the running stack are."""
    line = Line.to(places)
    status = line.ask("status") if line else None
    if line is None or status is None:
        raise DevstackError(f"The stack {places.name} is not running: python -m devstack up")
    line.close()
    return {key: value for part in status["parts"].values() for key, value in part["environ"].items()}
