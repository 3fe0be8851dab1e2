"""Our relay as an operator runs it: `manage.py relay_outbox`, one or several processes.

Started by `drain` and `latency` on an empty outbox, ready and with their shares settled before anything is timed.
"""

import subprocess
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import psutil  # type: ignore[import-untyped]  # ships no types
import psycopg

from benchmarks.relay.ground import Ground
from benchmarks.relay.waiting import wait_for
from devstack import ports

Process = subprocess.Popen[str]

_READY_WITHIN_S = 30.0
_SHARED_OUT_WITHIN_S = 30.0
_STOP_WITHIN_S = 30.0

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
        started = [running.enter_context(_relay(ground)) for _ in range(processes)]
        for process, port in started:
            wait_for(partial(_is_ready, process, port), within_s=_READY_WITHIN_S)
        _wait_until_shared_out(ground, processes)
        yield [psutil.Process(process.pid) for process, _ in started]


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """The processor time that they have used up to now."""
    times = [process.cpu_times() for process in processes]
    seconds: float = sum(used.user + used.system for used in times)
    return seconds


@contextmanager
def _relay(ground: Ground) -> Iterator[tuple[Process, int]]:
    port = ports.free()
    process = ground.start("manage.py", "relay_outbox", "--port", str(port))
    try:
        yield process, port
        process.terminate()
        if code := process.wait(_STOP_WITHIN_S):
            raise ChildProcessError(f"the relay ended with {code}")
    finally:
        process.kill()
        process.wait()


def _is_ready(process: Process, port: int) -> bool:
    if process.poll() is not None:
        raise ChildProcessError(f"the relay ended with {process.returncode}")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except OSError:  # 503, or not listening yet
        return False


def _wait_until_shared_out(ground: Ground, processes: int) -> None:
    with psycopg.connect(ground.dsn, autocommit=True) as session:
        wait_for(lambda: session.execute(_SHARED_OUT, [processes]).rowcount, within_s=_SHARED_OUT_WITHIN_S)
