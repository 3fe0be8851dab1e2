"""A session with PostgreSQL for locks that last and for being woken; it runs nothing that could take long.

`shards` holds its locks on one, `wakeup` its flags on another; reading and marking have their own (`session`). No wait
is endless, and none outlasts the session: what ends it is told at once. Then it stays closed, and a new one is opened.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.abc import PQGen

from events.errors import Permanent
from events.outbox.session import AWAY, DatabaseAway

_ANSWERS_WITHIN_S = 3.0
_CONNECTION: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": 3,
    # A cut is noticed here as soon as the server notices it.
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}

RV = TypeVar("RV")


class Pooled(Permanent):
    """The address leads through a connection pooler, which gives each transaction whatever session is free.

    Session locks and LISTEN need PostgreSQL's own address: set DATABASE_DIRECT_URL.
    """


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """Waits for each answer for 3 s at most.

    PostgreSQL's statement_timeout and TCP's own do nothing while a stopped server process or a middlebox keeps the
    connection open and silent.
    """

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        return super().wait(gen, interval, _ANSWERS_WITHIN_S if timeout is None else timeout)


class LockSession:
    """Open from the beginning to the first DatabaseAway, or to `close`."""

    def __init__(self, url: str) -> None:
        """Raises Pooled, DatabaseAway."""
        with _away():
            self._connection = _Connection.connect(url, **_CONNECTION)
        (process,) = self.ask("select pg_backend_pid(), set_config('statement_timeout', '2s', false)")
        if process[0] != self._connection.info.backend_pid:
            self.close()
            raise Pooled("a pooler answers here: set DATABASE_DIRECT_URL to PostgreSQL's own address")

    def ask(self, query: LiteralString, **values: object) -> list[tuple[Any, ...]]:
        """The rows of one statement. Raises DatabaseAway."""
        with self._closing():
            return self._connection.execute(query, values).fetchall()

    def listen(self, channel: LiteralString) -> None:
        """Hear what is notified from now on. Raises DatabaseAway."""
        with self._closing():
            self._connection.execute("listen " + channel)

    def heard(self, *, within_s: float) -> list[str]:
        """What was notified, waiting so long for the first. Raises DatabaseAway, as soon as the server hangs up."""
        with self._closing():
            return [notify.payload for notify in self._connection.notifies(timeout=within_s, stop_after=1)]

    def close(self) -> None:
        """End it; PostgreSQL frees its locks at once."""
        self._connection.close()

    @contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            with _away():
                yield
        except DatabaseAway:
            self.close()
            raise


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except AWAY as error:
        raise DatabaseAway(type(error).__name__) from error
