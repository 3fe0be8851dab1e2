"""Who owns what: one relay owns all shards, and further ones stand by until it is gone.

A session-level advisory lock on a connection that does nothing else. `relay` beats it; when a relay dies, its session
ends and the lock is free at once; when it is paused or cut off, PostgreSQL ends the idle session after 5 s. A relay
whose last beat is older than 3 s must send nothing more: another may own the shards soon.
"""

import time
from typing import Any

import psycopg

from events import observe
from events.outbox.store import DatabaseAway

# The two-number space of advisory locks, which the key locks of publish() do not use.
_LOCK = (0x6F7574, 0)
_SESSION_LIMIT_S = 5
_FRESH_S = 3.0
_BEAT_EVERY_S = 0.25
_SESSION: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": 5,
    "tcp_user_timeout": _SESSION_LIMIT_S * 1000,  # a cut is noticed here, too
    "options": f"-c idle_session_timeout={_SESSION_LIMIT_S}s -c statement_timeout=2s",
}


class Ownership:
    """The lock, and how sure this process may be that it still has it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: psycopg.Connection[tuple[Any, ...]] | None = None
        self._is_held = False
        self._is_standing_by = False
        self._beaten_at = 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether the shards were this relay's within the last 3 s: look immediately before each send."""
        return self._is_held and time.monotonic() - self._beaten_at < _FRESH_S

    def beat(self) -> bool:
        """Take the lock or keep it, four times a second at most; gives whether it is ours. Raises DatabaseAway."""
        now = time.monotonic()  # before asking: an answer that comes late must not look fresh
        if now - self._beaten_at < _BEAT_EVERY_S:
            return self._is_held
        try:
            self._ask()
        except psycopg.Error as error:
            self.release()
            raise DatabaseAway(type(error).__name__) from error
        self._beaten_at = now
        return self._is_held

    def release(self) -> None:
        """Let go of the lock by ending its session."""
        if self._session is not None:
            self._session.close()
        self._session, self._is_held = None, False

    def _ask(self) -> None:
        if self._session is None:
            self._session = psycopg.connect(self._url, **_SESSION)
        if self._is_held:
            self._session.execute("select 1")
            return
        row = self._session.execute("select pg_try_advisory_lock(%s, %s)", _LOCK).fetchone()
        self._is_held = row == (True,)
        self._tell()

    def _tell(self) -> None:
        if self._is_held:
            observe.record_owning()
        elif not self._is_standing_by:
            observe.record_standing_by()
        self._is_standing_by = not self._is_held
