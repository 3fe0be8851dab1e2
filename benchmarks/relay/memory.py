"""What memory a relay takes while it drains a backlog that is far more than it may hold at once.

Called by `run` once, after all repeats, since a million records take their time; `figures` tells what it amounts to.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped]  # ships no types

from benchmarks.frame.figures import Tenths
from benchmarks.frame.ground import Ground
from benchmarks.frame.relays import relays
from benchmarks.relay.outbox import Outbox

_EVERY_S = 0.05


def drain_watched(ground: Ground, outbox: Outbox, *, times: int) -> Tenths:
    """Megabytes resident of one relay that carries `times` the samples, from the backlog's COMMIT to the last mark."""
    with relays(ground, processes=1) as (relay,):
        backlog = outbox.let_go(times, readers=1)
        with _watched(relay) as megabytes:
            outbox.seconds_to_drain(backlog)
    return Tenths.of(megabytes)


@contextmanager
def _watched(process: psutil.Process) -> Iterator[list[float]]:
    megabytes: list[float] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_EVERY_S):
            megabytes.append(process.memory_info().rss / 1e6)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield megabytes
    finally:
        is_over.set()
        watching.join()
