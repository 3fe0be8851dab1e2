"""How an idle relay learns of new records: by NOTIFY, sent only while it sleeps; adaptive polling stands behind it.

`relay` waits here when it found nothing to do. A sleeping relay has a flag up for each shard that it owns: an
exclusive advisory lock. A publisher tries the same lock shared, for as long as its transaction lasts, and notifies when
it does not get it (`store`). No wake-up is lost: a flag goes up only when every publisher without a NOTIFY has
committed, and then the relay reads once more before it sleeps. Measurements: docs/decisions/wakeup.md.
"""

import time
from collections.abc import Callable

from events.backoff import Backoff
from events.errors import EventsError
from events.outbox.lock_session import LockSession
from events.outbox.store import CHANNEL, FLAG
from events.stop import Stop

_SHORTEST_S = 0.002
_LONGEST_S = 0.25  # also how soon a sleeper notices that it should stop, or owns other shards
_SLEEP_S = 1.0
_TOUCH_EVERY_S = 3.0
_RECONNECT = Backoff(first_s=0.25, most_s=5.0)

# A relay that is paused in its sleep must not keep its flags up for ever: its shards' next owner needs them.
_RAISE = """
select array(select shard from unnest(%(shards)s::int[]) as shard where pg_try_advisory_lock(%(flag)s, shard)),
    set_config('idle_session_timeout', '10s', false)
"""
_LOWER = "select pg_advisory_unlock_all(), set_config('idle_session_timeout', '0', false)"

_NONE: frozenset[int] = frozenset()


class Wakeup:
    """One relay's sleep. `owned` gives the shards that it reads."""

    def __init__(self, url: str, *, notify: bool, owned: Callable[[], frozenset[int]]) -> None:
        self._url, self._is_on, self._owned = url, notify, owned
        self._session: LockSession | None = None
        self._flags = _NONE
        self._touched_at = 0.0
        self._poll_s = _SHORTEST_S
        self._failures = 0
        self._reconnect_at = 0.0

    def worked(self) -> None:
        """There was something to do, so more may follow: nobody needs to notify, and the next wait is a short one."""
        self._poll_s = _SHORTEST_S
        if self._session is None:
            return
        try:
            # Unheard, others' notifications would pile up, at last in PostgreSQL's own queue.
            self._session.heard(within_s=0)
            self._lower(self._session)
        except EventsError:
            self._lose()

    def wait(self, stop: Stop, *, look_again: Callable[[], bool]) -> None:
        """Sleep until there may be something to read, other shards are owned, or 1 s is over.

        `look_again` reads, and gives whether it found anything. It is called when flags went up, before the sleep.
        """
        shards, raised = self._owned(), _NONE
        try:
            # Under load the first look finds something: then no flag goes up, and no publisher notifies.
            if self._poll_s > _SHORTEST_S:
                raised = self._raise(shards)
        except EventsError:
            self._lose()
        if not shards or shards - self._flags:
            self._sleep(stop, shards, for_s=self._poll_s)
            self._poll_s = min(_LONGEST_S, self._poll_s * 2)
        elif not (raised and look_again()):
            self._sleep(stop, shards, for_s=_SLEEP_S)

    def close(self) -> None:
        """Lower the flags for good."""
        if self._session is not None:
            self._session.close()
        self._session, self._flags = None, _NONE

    def _raise(self, shards: frozenset[int]) -> frozenset[int]:
        """Put up the flags that are not, and give these; those of open transactions stay down: polling has to do."""
        session = self._session or self._connect()
        if session is None:
            return _NONE
        if self._flags - shards:
            self._lower(session)
        missing = shards - self._flags
        if not missing:
            return _NONE
        ((raised, _),) = session.ask(_RAISE, flag=FLAG, shards=list(missing))
        self._flags |= frozenset(raised)
        self._touched_at = time.monotonic()
        return frozenset(raised)

    def _lower(self, session: LockSession) -> None:
        if self._flags:
            session.ask(_LOWER)
            self._flags = _NONE

    def _connect(self) -> LockSession | None:
        """A session, if one is wanted and the last attempt is long enough ago."""
        if self._is_on and time.monotonic() >= self._reconnect_at:
            self._session = LockSession(self._url)
            self._session.listen(CHANNEL)
            self._failures = 0
        return self._session

    def _sleep(self, stop: Stop, shards: frozenset[int], *, for_s: float) -> None:
        until = time.monotonic() + for_s
        while not stop.is_asked and self._owned() == shards and (left := until - time.monotonic()) > 0:
            if self._is_called(stop, shards, within_s=min(left, _LONGEST_S)):
                return

    def _is_called(self, stop: Stop, shards: frozenset[int], *, within_s: float) -> bool:
        """Whether somebody notified, or, the session being lost, may have tried to."""
        if self._session is None:
            return stop.wait(within_s)
        try:
            self._touch(self._session)
            return not set(self._session.heard(within_s=within_s)).isdisjoint(map(str, shards))
        except EventsError:
            self._lose()
            return True

    def _touch(self, session: LockSession) -> None:
        if time.monotonic() - self._touched_at > _TOUCH_EVERY_S:
            session.ask("select 1")
            self._touched_at = time.monotonic()

    def _lose(self) -> None:
        """Go on without NOTIFY; a later wait tries again."""
        self.close()
        self._failures += 1
        self._reconnect_at = time.monotonic() + _RECONNECT.wait_s(self._failures)
