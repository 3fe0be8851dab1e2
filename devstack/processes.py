"""A runner of named processes: the application's own, on top of a stack. Used by `run` and by the demo.

Each has a process group of its own, so that Ctrl-C reaches the runner alone, which then ends them in reverse order.
"""

import os
import queue
import signal
import threading
from collections.abc import Mapping, Sequence
from io import TextIOBase
from typing import Self, TextIO

from devstack.child import Child
from devstack.errors import DevstackError
from devstack.watchdog import Watchdog

_COLOURS = (36, 32, 33, 35, 34, 96, 92, 93)


class ProcessDied(DevstackError):
    """A process ended by itself; the message has its last lines."""


class Processes:
    """Processes that live as long as the `with` block; their lines go to `out`, each headed by its process's name."""

    def __init__(self, *, out: TextIO | TextIOBase) -> None:
        self._out = out
        self._writing = threading.Lock()
        self._children: list[Child] = []
        self._ended: queue.SimpleQueue[Child] = queue.SimpleQueue()
        self._watchdog = Watchdog()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            for child in reversed(self._children):
                child.stop()
        finally:
            # Also when a second Ctrl-C cuts the orderly end short.
            for child in self._children:
                child.kill()
            self._watchdog.close()

    def start(self, name: str, argv: Sequence[str], *, env: Mapping[str, str]) -> None:
        """Start one. Call it from a thread that outlives the process (`bound` says why)."""
        head = self._head(name)
        child = Child(name, argv, env=env, print_line=lambda line: self._print(head + line), ended=self._ended.put)
        self._children.append(child)
        self._watchdog.add(child.pid, signal.SIGTERM)

    def check(self) -> None:
        """Raise ProcessDied where one has ended by itself."""
        if not self._ended.empty():
            self.wait()

    def wait(self) -> None:
        """Never return: raise ProcessDied as soon as one ends by itself."""
        raise ProcessDied(self._ended.get().obituary())

    def _head(self, name: str) -> str:
        head = f"{name:<9}│ "
        if not self._out.isatty() or "NO_COLOR" in os.environ:
            return head
        colour = _COLOURS[len(self._children) % len(_COLOURS)]
        return f"\x1b[{colour}m{head}\x1b[0m"

    def _print(self, line: str) -> None:
        with self._writing:
            self._out.write(f"{line}\n")
            self._out.flush()
