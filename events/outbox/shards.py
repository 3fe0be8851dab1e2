"""Who owns what: any number of relays share the 64 shards fairly, and none of them leads.

`relay` reads and sends the records of `owned` and of nothing else. Each shard, and each member, is a session-level
advisory lock: SIGKILL frees a relay's shards at once; of a relay that is paused, cut off or stuck PostgreSQL ends the
session when it has heard nothing for 5 s. Everyone sees the members in pg_locks and computes the same shares.
Why so, and what happens in each case: docs/decisions/shards.md.
"""

import os
import random
import threading
import time
from collections.abc import Collection, Iterable

from events import observe
from events.backoff import Backoff
from events.errors import EventsError
from events.outbox.lock_session import LockSession, Pooled
from events.outbox.shares import new_member, share_of
from events.outbox.store import SHARDS
from events.stop import end_hanging

# Lock classes in the two-number space of advisory locks, which the key locks of publish() do not use.
MEMBER = 0x6F757401
SHARD = 0x6F757402

_BEAT_EVERY_S = 0.25
_FRESH_S = 3.0  # 60 % of the session's limit: then this process stops by itself
_STUCK_AFTER_S = 10.0
_LOOKS_MOST = 120  # at a stuck main loop: 30 s more, as its longest wait is to connect (5 s) and one statement (30 s)
_RECONNECT = Backoff(first_s=0.1, most_s=2.0)

_LIMIT_IDLE = "select set_config('idle_session_timeout', '5s', false)"
_JOIN = "select pg_try_advisory_lock(%(class)s, %(member)s)"
_LOOK = """
with held as materialized (
    select classid::bigint as class, objid::bigint as number, pid from pg_locks
    where locktype = 'advisory' and granted and objsubid = 2 and classid::bigint in (%(members)s, %(shards)s)
        and database = (select oid from pg_database where datname = current_database())
)
select array(select number from held where class = %(members)s),
    array(select number from held where class = %(shards)s),
    exists (select from held where class = %(members)s and number = %(member)s and pid = pg_backend_pid())
"""
_LOCK = "select shard, pg_try_advisory_lock(%(class)s, shard) from unnest(%(shards)s::int[]) as shard"
_UNLOCK = "select pg_advisory_unlock(%(class)s, shard) from unnest(%(shards)s::int[]) as shard"

_NONE: frozenset[int] = frozenset()
_NEVER = float("-inf")


class Shards:
    """This process's share, kept by a thread of its own from `start` to `close`."""

    def __init__(self, url: str, *, most: int = SHARDS) -> None:
        self._url, self._most = url, most
        self._member = new_member(most=most)
        self._session: LockSession | None = None
        self._thread = threading.Thread(target=self._keep_beating, name="shards", daemon=True)
        self._closing = threading.Event()
        self._changing = threading.Lock()
        self._owned = self._leaving = self._released = _NONE
        self._beaten_at = _NEVER
        self._stamped_at = time.monotonic()
        self._looks_in_vain = 0
        self._epoch = 0

    def start(self) -> None:
        """Join, once. Raises Pooled for good; DatabaseAway: try again."""
        self._join()
        self.stamp()
        self._thread.start()

    def stamp(self) -> None:
        """The main loop moves. 10 s without it end the beat, 40 s the process: another relay may do better."""
        self._stamped_at = time.monotonic()

    @property
    def is_fresh(self) -> bool:
        """Whether all shards were certainly this process's within the last 3 s: look immediately before each send."""
        return time.monotonic() - self._beaten_at < _FRESH_S

    @property
    def owned(self) -> frozenset[int]:
        """What to read and send. Empty as soon as the beat is not fresh."""
        return self._owned if self.is_fresh else _NONE

    @property
    def leaving(self) -> frozenset[int]:
        """What belongs to others and is still locked here: to be released once its records are settled and marked.

        Read it after `owned`: a shard on its way from there to here is then in one of them, or in both.
        """
        return self._leaving if self.is_fresh else _NONE

    def release(self, shards: Iterable[int]) -> None:
        """Give up those of `leaving`, with the next beat."""
        with self._changing:
            released = self._leaving & frozenset(shards)
            self._leaving -= released
            self._released |= released

    @property
    def epoch(self) -> int:
        """Grows with each session: between two of them others may have owned the same shards.

        Read it before `owned`, and look again before each send, as at `is_fresh`.
        """
        return self._epoch

    def close(self) -> None:
        """Leave; every shard is free when this returns."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self._lose()

    def _keep_beating(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                self._beat_once()
                failures = 0
            except EventsError:
                self._lose()
                failures += 1
                self._closing.wait(_RECONNECT.wait_s(failures))

    def _beat_once(self) -> None:
        """Wait for the next beat's time, or for the session's end; then beat, or let the session run out."""
        if self._session is None:
            self._closing.wait(_BEAT_EVERY_S)
        else:
            self._session.heard(within_s=_BEAT_EVERY_S)
        if self._is_stuck():
            return
        if self._session is None:
            self._join()
        else:
            self._beat(self._session)

    def _is_stuck(self) -> bool:
        """Look at the main loop, once a beat; a process whose loop stays stuck ends here.

        Looks are counted, not seconds: a process that was paused wakes with an old stamp, and its loop must come first.
        """
        unstamped_s = time.monotonic() - self._stamped_at
        is_stuck = unstamped_s > _STUCK_AFTER_S
        self._looks_in_vain = self._looks_in_vain + 1 if is_stuck else 0
        if self._looks_in_vain >= _LOOKS_MOST:
            end_hanging(
                lambda: observe.record_main_loop_hangs(unstamped_s=unstamped_s, exit_code=os.EX_SOFTWARE)
            )  # fmt: skip
        return is_stuck

    def _join(self) -> None:
        session = self._session = LockSession(self._url)
        self._member = new_member(most=self._most)  # the lost session may still have its own
        session.ask(_LIMIT_IDLE)
        session.ask(_JOIN, **{"class": MEMBER}, member=self._member)
        self._epoch += 1
        self._beat(session)

    def _beat(self, session: LockSession) -> None:
        # The time before asking: an answer that comes late must not look fresh.
        asked_at = time.monotonic()
        self._give_back(session)
        ((members, taken, is_member),) = session.ask(_LOOK, members=MEMBER, shards=SHARD, member=self._member)
        if not is_member:
            raise Pooled("a lock of this session is gone in its next transaction: set DATABASE_DIRECT_URL")
        missing = share_of(self._member, members=members) - len(self._owned)
        if missing < 0:
            self._give_up(-missing)
        elif missing > 0:
            self._take(session, missing, free=set(range(SHARDS)).difference(taken))
        self._beaten_at = asked_at

    def _give_back(self, session: LockSession) -> None:
        with self._changing:
            released, self._released = self._released, _NONE
        if released:
            session.ask(_UNLOCK, **{"class": SHARD}, shards=list(released))

    def _give_up(self, surplus: int) -> None:
        with self._changing:
            leaving = frozenset(random.sample(sorted(self._owned), surplus))
            self._leaving |= leaving
            self._owned -= leaving

    def _take(self, session: LockSession, missing: int, *, free: Collection[int]) -> None:
        # Only what is free: a lock that this session already has would be taken twice. At random: two that take
        # at once rarely want the same.
        wanted = random.sample(sorted(free), min(missing, len(free)))
        rows = session.ask(_LOCK, **{"class": SHARD}, shards=wanted) if wanted else []
        with self._changing:
            self._owned |= {shard for shard, is_taken in rows if is_taken}

    def _lose(self) -> None:
        with self._changing:
            self._beaten_at = _NEVER
            self._owned = self._leaving = self._released = _NONE
        if self._session is not None:
            self._session.close()
        self._session = None
