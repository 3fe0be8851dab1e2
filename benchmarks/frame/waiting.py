"""Waiting for a condition, within a limit. Used by everything here that starts or watches something."""

import time
from collections.abc import Callable


def wait_for(holds: Callable[[], object], *, within_s: float, every_s: float = 0.02) -> None:
    """Wait until it holds. Raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{holds}: not within {within_s:.0f} s")
        time.sleep(every_s)
