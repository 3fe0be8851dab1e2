"""Our relay as an operator runs it: `manage.py relay_outbox`, one or several processes.

Started on an empty outbox, ready and with their shares settled before anything is timed.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import psutil  # type: ignore[import-untyped]  # ships no types
import psycopg

from benchmarks.frame.ground import Ground
from benchmarks.frame.serving import serving
from benchmarks.frame.waiting import wait_for

_SHARED_OUT_WITHIN_S = 30.0

# One class of advisory locks stands for the 64 shards: fair is the same number each, give or take one.
_SHARED_OUT = """
select from (
    select classid, count(*) as shards from pg_locks
    where locktype = 'advisory' and granted and objsubid = 2
        and database = (select oid from pg_database where datname = current_database())
    group by classid, pid
) as held
group by classid having count(*) = %s and sum(shards) = 64 and max(shards) - min(shards) <= 1
"""


@contextmanager
def relays(ground: Ground, *, processes: int) -> Iterator[Sequence[psutil.Process]]:
    """So many relays, ready; ended by SIGTERM with the block. Raises ChildProcessError where one does not end well."""
    with ExitStack() as running:
        started = [running.enter_context(serving(ground, "manage.py", "relay_outbox")) for _ in range(processes)]
        for served in started:
            served.wait_until_ready()
        _wait_until_shared_out(ground, processes)
        yield [psutil.Process(served.process.pid) for served in started]


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """The processor time that they have used up to now."""
    times = [process.cpu_times() for process in processes]
    seconds: float = sum(used.user + used.system for used in times)
    return seconds


def _wait_until_shared_out(ground: Ground, processes: int) -> None:
    with psycopg.connect(ground.dsn, autocommit=True) as session:
        wait_for(lambda: session.execute(_SHARED_OUT, [processes]).rowcount, within_s=_SHARED_OUT_WITHIN_S)
