"""The consumer's session with PostgreSQL: no wait for an answer is endless.

The command wraps the loop in `waits_bounded`. PostgreSQL ends a statement at its statement_timeout; a server that has
answered nothing some seconds later is gone, though a middlebox or a stopped server process may keep the connection
open and silent for ever, past every timeout of TCP.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg.abc import PQGen

RV = TypeVar("RV")

_MARGIN_S = 5.0
_STATEMENT_TIMEOUT_S = "select setting::float8 / 1000 from pg_settings where name = 'statement_timeout'"


@contextmanager
def waits_bounded() -> Iterator[None]:
    """Every session that Django opens in this block waits so long alone; one without a statement_timeout, for ever."""
    connection_created.connect(_bound)
    try:
        yield
    finally:
        connection_created.disconnect(_bound)


def _bound(connection: BaseDatabaseWrapper, **_: Any) -> None:
    opened: psycopg.Connection[Any] = connection.connection
    (limit_s,) = opened.execute(_STATEMENT_TIMEOUT_S).fetchone() or (0,)
    wait = type(opened).wait

    def wait_at_most(gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        try:
            return wait(opened, gen, interval, limit_s + _MARGIN_S if timeout is None else timeout)
        except psycopg.OperationalError:
            # Whatever came after would read the late answer as its own.
            if opened.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                opened.close()
            raise

    if limit_s:
        opened.wait = wait_at_most  # type: ignore[method-assign]  # Django lets nobody choose the connection's class
