"""A relay's sleep without the relay: it reads how many records there are, and sleeps when there are no more."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from events.outbox import wakeup
from events.outbox.wakeup import Wakeup
from events.stop import Stop
from tests.integration.sharing import ALL

READ = "select count(*) from events_outbox where shard = any(%s)"
FLAGS = """
select count(*) from pg_locks
where locktype = 'advisory' and classid::bigint = 1869968387 and mode = 'ExclusiveLock' and granted
    and database = (select oid from pg_database where datname = current_database())
"""


class Told(Wakeup):
    """Knows how its last sleep ended."""

    was_called = False

    def _is_called(self, stop: Stop, shards: frozenset[int], *, within_s: float) -> bool:
        self.was_called = super()._is_called(stop, shards, within_s=within_s)
        return self.was_called


class Sleeper:
    """Its loop, in a thread.

    `seen` is how many records it has read; `sleeps` how long each sleep was, in seconds; `missed` how many went on to
    their end though there was something to read.
    """

    def __init__(self, url: str, *, owned: frozenset[int] = ALL, notify: bool = True) -> None:
        self.owned = owned
        self.stop = Stop()
        self.seen = self.missed = 0
        self.sleeps: list[float] = []
        self._url = url
        self._reading = psycopg.connect(url, autocommit=True)
        self._wakeup = Told(url, notify=notify, owned=lambda: self.owned)
        self._thread = threading.Thread(target=self._run, name="sleeper under test")
        self._thread.start()

    def _run(self) -> None:
        slept_s = 0.0
        while not self.stop.is_asked:
            if self._read():
                self.missed += slept_s >= wakeup._SLEEP_S and not self._wakeup.was_called
                slept_s = 0.0
                self._wakeup.worked()
            else:
                began_at = time.monotonic()
                self._wakeup.wait(self.stop, look_again=self._read)
                slept_s = time.monotonic() - began_at
                self.sleeps.append(slept_s)
        self._wakeup.close()

    def _read(self) -> bool:
        """Whether there are more; counts them. After a crash of the database, in a new session."""
        try:
            ((read,),) = self._reading.execute(READ, [list(self.owned)])
        except psycopg.OperationalError:
            return self._read_anew()
        is_more, self.seen = bool(read > self.seen), read
        return is_more

    def _read_anew(self) -> bool:
        self._reading.close()
        try:
            self._reading = psycopg.connect(self._url, autocommit=True)
        except psycopg.OperationalError:
            self.stop.wait(0.01)
        return False

    def end(self) -> float:
        """Ask it to stop; gives how long that took."""
        asked_at = time.monotonic()
        self.stop.ask()
        self._thread.join()
        self._reading.close()
        return time.monotonic() - asked_at


@contextmanager
def sleeper(url: str, *, owned: frozenset[int] = ALL, notify: bool = True) -> Iterator[Sleeper]:
    one = Sleeper(url, owned=owned, notify=notify)
    try:
        yield one
    finally:
        one.end()


class Observer:
    """Who else listens, and looks at the flags."""

    def __init__(self, url: str) -> None:
        self._session = psycopg.connect(url, autocommit=True)
        self._session.execute("listen events_outbox")

    def flags(self) -> int:
        """How many are up."""
        ((up,),) = self._session.execute(FLAGS)
        return int(up)

    def heard(self, *, within_s: float) -> list[str]:
        return [notify.payload for notify in self._session.notifies(timeout=within_s, stop_after=1)]

    def close(self) -> None:
        self._session.close()
