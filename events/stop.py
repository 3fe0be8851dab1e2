"""Asking a long-running command to stop: the first signal asks, the second one ends the process.

The command wraps its loop in `stop_on_signals`; the loop looks at `Stop.is_asked` between two steps and may wait
on it instead of sleeping.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_TELL_WITHIN_S = 1.0


class Stop:
    """A flag that is raised once."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    @property
    def is_asked(self) -> bool:
        """Whether the work should end after the step in hand."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask for the end; more than once does no harm."""
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for the flag; gives whether it is raised."""
        return self._asked.wait(seconds)


def end_hanging(tell: Callable[[], None]) -> NoReturn:
    """End this process at once, with EX_SOFTWARE. The log may be what it hangs in: `tell` does not get long."""
    threading.Timer(_TELL_WITHIN_S, os._exit, (os.EX_SOFTWARE,)).start()
    tell()
    os._exit(os.EX_SOFTWARE)


@contextmanager
def stop_on_signals(within_s: float) -> Iterator[Stop]:
    """SIGTERM or SIGINT asks; a second one, or `within_s` seconds gone by, ends the process with code 1."""
    stop = Stop()
    overdue = threading.Timer(within_s, os._exit, (1,))
    overdue.daemon = True

    def ask(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_asked:
            os._exit(1)
        stop.ask()
        overdue.start()

    before = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield stop
    finally:
        overdue.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
