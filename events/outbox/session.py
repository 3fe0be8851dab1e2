"""The relay's own sessions with PostgreSQL: one to read, one to mark; never the one that holds the shards.

`store` runs its statements here. Whatever ends a session, the next statement opens a new one. A server process whose
client is gone ends its statement within half a second, so that no row lock outlives a killed relay.
"""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg

from events.errors import Transient

_SETTINGS: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    # Statistics of an outbox lie: it is empty or full minute by minute. Sequential and bitmap plans are wrong for
    # every statement of the relay, and compiling one costs more than running it.
    "options": "-c client_connection_check_interval=500 -c enable_seqscan=off -c enable_bitmapscan=off -c jit=off"
    " -c statement_timeout=30s -c default_transaction_isolation=read\\ committed",
}

Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]


# InternalError: also from a server that has become a standby, which takes no mark.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)


class DatabaseAway(Transient):
    """PostgreSQL did not answer, or ended the session."""


class Session:
    """One connection, opened by its first statement; each statement is its own transaction."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Row] | None = None
        self._is_free = threading.Lock()

    def run(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """Run one statement, prepared and binary; gives its rows. Raises DatabaseAway."""
        with self._is_free:
            try:
                if self._connection is None:
                    self._connection = psycopg.connect(self._url, **_SETTINGS)
                cursor = self._connection.cursor(binary=True)
                cursor.execute(statement, parameters, prepare=True)
                return cursor.fetchall() if cursor.description else []
            except AWAY as error:
                self._drop()
                raise DatabaseAway(type(error).__name__) from error

    def close(self) -> None:
        """End it."""
        with self._is_free:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None
