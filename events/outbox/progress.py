"""What a person or a dashboard sees of a running relay: the backlog as metrics, progress as one line on a terminal.

`relay_outbox` wraps the loop in both. They run beside it on threads of their own, so that a slow count slows nothing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from events import observe
from events.outbox import store
from events.outbox.session import DatabaseAway, Session
from events.repeating import measured, repeated

_MEASURE_EVERY_S = 5.0
_COUNT_MOST = 1_000_000
_SHOW_EVERY_S = 0.5


@contextmanager
def backlog_measured(url: str) -> Iterator[None]:
    """Keep the backlog's metrics, on a session of its own."""
    session = Session(url)

    def measure() -> None:
        with suppress(DatabaseAway):
            observe.record_backlog(**store.backlog(session, at_most=_COUNT_MOST)._asdict())

    with measured(measure, every_s=_MEASURE_EVERY_S):
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

    with repeated(show):
        yield
    show()
    terminal.write("\n")
