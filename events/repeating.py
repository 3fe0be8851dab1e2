"""A step that is taken again and again on a thread of its own, beside a command's loop and never in its way.

Measuring and watching are such steps: of the outbox, of the inbox, of the consumer's loop.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_JOIN_WITHIN_S = 5.0


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
