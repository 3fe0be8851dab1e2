"""Owe a user one notice: what handlers and services call instead of sending anything.

The debt commits or vanishes with the caller's transaction. Afterwards a worker hears of it from `queue`, or finds
it in its next sweep; `attempts` goes on from there.
"""

from functools import partial
from uuid import UUID, uuid4

from django.db import connection, transaction

from accounts import observe, throttles
from accounts.models.session import Client
from accounts.names import EmailAddress
from accounts.outside import calls, queue


def request(*, kind: str, key: str, facts: dict[str, str], user_id: UUID | None = None, email: str = "") -> UUID | None:
    """Owe the notice, once a `key` (at most 128 characters) however often it is asked for; gives the call's id then.

    It goes to the user's address, or to `email` where that is another, or all there is. `facts` are what it tells
    beside what is read from the user when it is sent: no address, no secret.
    Raises TransactionManagementError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("a notice is owed in the transaction of what it tells of")
    call_id = calls.owe(kind=kind, key=key, facts=facts, user_id=user_id, email=email)
    _offer(call_id)
    return call_id


def request_by_address(
    *, kind: str, email: EmailAddress, client: Client | None = None, key: str = "", user_id: UUID | None = None
) -> bool:
    """Owe the notice to whoever has this address, at a stranger's word: nothing here depends on whether anyone has it.

    With a `user_id` it is that user's word, who wants to have the address. Once a `key`, where one is given. Over the
    quotas of the address and of who asks nothing is owed (False); nobody is told.
    """
    # By kind: who asks for one kind in another's name keeps none of the other kinds from them.
    subjects = {"mail-recipient": f"{kind} {email.canonical}"}
    if client and client.counted:
        subjects["mail-address"] = client.counted
    try:
        throttles.count(subjects)
    except throttles.RateLimited as limited:
        observe.record_mail_suppressed(kind=kind, quota=limited.over.name)
        return False
    with transaction.atomic():
        request(kind=kind, key=key or f"{kind}/{uuid4()}", facts={}, user_id=user_id, email=email.text)
    return True


def _offer(call_id: UUID | None) -> None:
    if call_id:
        transaction.on_commit(partial(queue.offer, call_id), robust=True)
