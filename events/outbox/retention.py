"""Retention: published records leave the outbox when they are old enough; nothing else ever does by itself.

The command `outbox prune` and the project's beat call it. Small steps along the primary key, each a transaction of its
own: no long lock, no long transaction, and vacuum keeps up.
"""

from collections.abc import Iterator
from datetime import datetime

from events import observe
from events.outbox import operator_store as store

_AT_ONCE = 1_000


def prune(*, before: datetime) -> int:
    """Delete what was published before then; gives how many records. Safe to stop, and to run twice at a time.

    Copies of dead records stay beside them.
    """
    deleted = sum(_steps(before))
    observe.record_pruned(records=deleted)
    return deleted


def _steps(before: datetime) -> Iterator[int]:
    after: int | None = 0
    while after is not None:
        looked = store.delete_published(before=before, after=after, limit=_AT_ONCE)
        yield looked.deleted
        # Nothing is published before it is created, and ids go with time: from here on all are too young.
        is_young = looked.oldest_at is not None and looked.oldest_at >= before
        after = None if is_young else looked.last_id
