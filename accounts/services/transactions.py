"""How a service runs: one transaction, and once more where the database gave way to another's.

Not durable: the admin's own views open a transaction around a service, and then it is theirs to run again.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, transaction

P = ParamSpec("P")
R = TypeVar("R")

# Two waited for each other, or could not both be serialised: PostgreSQL ended this one, and nothing of it was done.
GAVE_WAY = ("40P01", "40001")


def in_transaction(service: Callable[P, R]) -> Callable[P, R]:
    """Run `service` in a transaction; a second time after a deadlock or a serialization failure."""
    once = transaction.atomic(service)

    @wraps(service)
    def run(*args: P.args, **options: P.kwargs) -> R:
        try:
            return once(*args, **options)
        except OperationalError as error:
            if connection.in_atomic_block or getattr(error.__cause__, "sqlstate", None) not in GAVE_WAY:
                raise
        return once(*args, **options)

    return run
