"""A step that is taken again and again on a thread of its own, beside a command's loop and never in its way.

Measuring and watching are such steps: of the outbox, of the inbox, of the consumer's loop.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_JOIN_WITHIN_S = 5.0
_SHARE_OF_TIME = 0.01  # that measuring may take


@contextmanager
def measured(measure: Callable[[], None], *, every_s: float) -> Iterator[None]:
    """Take `measure` so often until the block ends, but rarely enough that it takes 1 % of the time at most."""

    def step() -> float:
        began_at = time.monotonic()
        measure()
        return max(every_s, (time.monotonic() - began_at) / _SHARE_OF_TIME)

    with repeated(step):
        yield


@contextmanager
def repeated(step: Callable[[], float]) -> Iterator[None]:
    """Take `step` until the block ends; it gives the seconds to wait for the next one."""
    is_over = threading.Event()

    def run() -> None:
        while not is_over.wait(step()):
            pass

    thread = threading.Thread(target=run, name=step.__name__, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(_JOIN_WITHIN_S)
