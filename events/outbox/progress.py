"""What a person or a dashboard sees of a running relay: the backlog as metrics, progress as one line on a terminal.

`relay_outbox` wraps the loop in both. They run beside it on threads of their own, so that a slow count slows nothing.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from events import observe
from events.outbox import store
from events.outbox.session import DatabaseAway, Session

_MEASURE_EVERY_S = 5.0
_SHARE_OF_TIME = 0.01  # that counting may take
_COUNT_MOST = 1_000_000
_SHOW_EVERY_S = 0.5
_JOIN_WITHIN_S = 5.0


@contextmanager
def backlog_measured(url: str) -> Iterator[None]:
    """Keep the backlog's metrics, on a session of its own."""
    session = Session(url)

    def measure() -> float:
        began_at = time.monotonic()
        with suppress(DatabaseAway):
            observe.record_backlog(**store.backlog(session, at_most=_COUNT_MOST)._asdict())
        return max(_MEASURE_EVERY_S, (time.monotonic() - began_at) / _SHARE_OF_TIME)

    with _repeated(measure):
        yield
    session.close()


@contextmanager
def progress_shown(terminal: TextIO) -> Iterator[None]:
    """One line that updates itself; nothing where it is no terminal."""
    if not terminal.isatty():
        yield
        return
    began_at, began_with = time.monotonic(), observe.published_so_far()

    def show() -> float:
        sent = observe.published_so_far() - began_with
        rate = sent / max(time.monotonic() - began_at, 0.001)
        terminal.write(f"\r\x1b[2K{sent:,.0f} published, {rate:,.0f}/s since the start")
        terminal.flush()
        return _SHOW_EVERY_S

    with _repeated(show):
        yield
    show()
    terminal.write("\n")


@contextmanager
def _repeated(step: Callable[[], float]) -> Iterator[None]:
    """`step` gives how long to wait for the next one."""
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
