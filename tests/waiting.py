"""Waiting for a condition, within a generous limit: what every test does instead of sleeping."""

import time
from collections.abc import Callable

LIMIT_S = 120.0


def wait_for(holds: Callable[[], object], *, within_s: float = LIMIT_S) -> None:
    """Return when it holds; fail after the limit."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
