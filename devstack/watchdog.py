"""Ends child processes whose starter is gone, on every system; what `bound` does on Linux alone.

A starter (supervisor or process runner) has one `Watchdog`: a process that reads the children's ids from a pipe.
The pipe's end means that the starter is gone, however it went.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

_GRACE_S = 5.0


class Watchdog:
    """The starter's side: tell which children to end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def add(self, pid: int, number: signal.Signals) -> None:
        """From now on, send `number` to the child `pid` when the starter is gone."""
        self._tell(f"{pid} {number.value}")

    def drop(self, pid: int) -> None:
        """The child has ended."""
        self._tell(f"{pid} 0")

    def close(self) -> None:
        """Let the watchdog end, and with it whatever is still there."""
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101  # for the type checker: PIPE was asked for
        # A watchdog that was itself killed must not take the stack with it.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()


def _send(pid: int, number: int) -> bool:
    """Signal the child and say whether it is there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
        return True
    return False


def _end(children: dict[int, int]) -> None:
    deadline = time.monotonic() + _GRACE_S
    left = {pid for pid, number in children.items() if _send(pid, number) and _send(pid, signal.SIGCONT)}
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = {pid for pid in left if _send(pid, 0)}
    for pid in left:
        _send(pid, signal.SIGKILL)


def main() -> None:
    """Keep the list until the pipe ends, then end what is on it."""
    children: dict[int, int] = {}
    for line in sys.stdin:
        pid, number = map(int, line.split())
        children[pid] = number
        if not number:
            del children[pid]
    _end(children)


if __name__ == "__main__":
    main()
