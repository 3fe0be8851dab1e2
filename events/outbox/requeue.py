"""Requeue: give dead records another chance, as copies.

The command `outbox requeue` and the admin's action call it, when whatever killed the records is mended; the relay then
finds the copies like any new record. A record is never set back to pending: its old id and its old transaction's number
would lie where the relay has already read. A copy has the same event id, so consumers know it again.
"""

from collections.abc import Sequence

from django.db import transaction

from events import observe
from events.outbox import operator_store as store

_AT_ONCE = 500  # records, and so keys locked, in one transaction


def requeue(ids: Sequence[int], *, again: bool = False) -> list[int]:
    """Copy those of these records that are dead; gives their ids.

    One that has been copied before is left out, unless it is asked for `again`. In transactions of 500: what an error
    stops half-way is not copied twice by the next run.
    """
    ordered = sorted(set(ids))
    batches = (ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE))
    return [requeued for batch in batches for requeued in _requeue_batch(batch, again=again)]


@transaction.atomic
def _requeue_batch(ids: Sequence[int], *, again: bool) -> list[int]:
    # Sorted as publish_all() sorts them, so that neither can wait for the other in a circle.
    store.lock_keys(sorted(store.keys_of_dead(ids)))
    requeued = store.copy_dead(ids, again=again)
    transaction.on_commit(lambda: observe.record_requeued(ids=requeued), robust=True)
    return requeued
