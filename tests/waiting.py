"""Waiting for a condition, within a generous limit: what every test does instead of sleeping."""

import time
from collections.abc import Callable

LIMIT_S = 120.0
_REST_S, _REST_MOST_S = 0.01, 0.1


def wait_for(holds: Callable[[], object], *, within_s: float = LIMIT_S, rest_most_s: float = _REST_MOST_S) -> None:
    """Return when it holds; fail after the limit. Between two looks it rests for longer and longer, up to a most."""
    deadline = time.monotonic() + within_s
    rest_s = _REST_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(rest_s)
        # Who looks all the time takes the processor from what it waits for.
        rest_s = min(rest_s * 1.5, rest_most_s)
