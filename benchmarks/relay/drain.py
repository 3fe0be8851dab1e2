"""One backlog carried by our relay: ready beforehand, timed from the backlog's COMMIT to its last mark.

Called by `run` for each variant; what a variant adds (a history, other sessions) was laid before.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from benchmarks.frame.figures import Taken
from benchmarks.frame.ground import Ground
from benchmarks.frame.relays import cpu_seconds, relays
from benchmarks.relay.outbox import Outbox


def drain(ground: Ground, outbox: Outbox, *, times: int, processes: int = 1) -> Taken:
    """What `processes` relays take for `times` the samples."""
    with relays(ground, processes=processes) as running:
        backlog = outbox.let_go(times, readers=processes)
        cpu_before = cpu_seconds(running)
        return Taken(outbox.seconds_to_drain(backlog), cpu_seconds(running) - cpu_before)


@contextmanager
def bystanders(ground: Ground) -> Iterator[None]:
    """A report that keeps its snapshot and a writer that neither ends nor goes on, both with a transaction open."""
    with psycopg.connect(ground.dsn) as report, psycopg.connect(ground.dsn) as writer:
        report.execute("set transaction isolation level repeatable read")
        report.execute("select count(*) from samples")
        writer.execute("create table never_committed (id int)")
        try:
            yield
        finally:
            report.rollback()
            writer.rollback()
