"""Owe a user one notice: what handlers call instead of sending anything.

The debt commits or vanishes with the handler's transaction. Afterwards a worker hears of it from `queue`, or finds
it in its next sweep; `attempts` goes on from there.
"""

from functools import partial
from uuid import UUID

from django.db import connection, transaction

from accounts.outside import calls, queue


def request(*, kind: str, user_id: UUID, key: str, facts: dict[str, str]) -> None:
    """Owe the notice, once a `key` (at most 128 characters) however often it is asked for.

    `facts` are what the notice tells beside what is read from the user when it is sent: no address, no secret.
    Raises TransactionManagementError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("a notice is owed in the transaction of what it tells of")
    call_id = calls.owe(kind=kind, user_id=user_id, key=key, facts=facts)
    if call_id:
        transaction.on_commit(partial(queue.offer, call_id), robust=True)
