"""Transactions that stay open while others come and go, all in one thread: each has a connection of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from django.db import DEFAULT_DB_ALIAS, InternalError, OperationalError, connections, transaction

from tests.faults.writer import fact, publish_and_note


class OpenTransaction:
    """Has published one event of each of `keys`, whose locks it holds; to be ended once."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = frozenset(keys)
        self._connection = connections.create_connection(DEFAULT_DB_ALIAS)
        self._atomic = transaction.atomic()
        with self._as_default():
            self._atomic.__enter__()
            publish_and_note([fact(key) for key in keys])

    def end(self, *, commit: bool) -> None:
        """Commit or roll back. PostgreSQL may have ended it before, for standing idle: nor has the ledger it then."""
        with self._as_default(), suppress(OperationalError, InternalError):
            transaction.set_rollback(not commit)
            self._atomic.__exit__(None, None, None)
        self._connection.close()

    @contextmanager
    def _as_default(self) -> Iterator[None]:
        usual = connections[DEFAULT_DB_ALIAS]
        connections[DEFAULT_DB_ALIAS] = self._connection
        try:
            yield
        finally:
            connections[DEFAULT_DB_ALIAS] = usual
