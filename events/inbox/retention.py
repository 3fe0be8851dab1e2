"""Retention: a group's inbox forgets events that are old enough, behind a horizon that it remembers.

The command `inbox prune` and the project's beat call it. The horizon moves in the transaction that deletes: an event
older than it that comes again (offsets reset, a replayed topic) is told from a new one no more, so `trust` never lets
it run silently. Small steps, each a transaction of its own.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from events import observe
from events.inbox import operator_store as store

_AT_ONCE = 1_000


def prune(*, before: datetime) -> int:
    """Forget what every group received before then; gives how many. Safe to stop, and to run twice at a time."""
    forgotten = sum(_prune_group(group, before) for group in store.groups())
    observe.record_inbox_pruned(records=forgotten)
    return forgotten


def _prune_group(group: str, before: datetime) -> int:
    return _along_the_ids(group, before) + _timeless(group, before)


def _along_the_ids(group: str, before: datetime) -> int:
    forgotten, last = 0, UUID(int=0)
    while True:
        with transaction.atomic():
            store.move_horizon(group=group, before=before)
            step = store.forget_events(group=group, before=before, after=last, limit=_AT_ONCE)
        if step is None:
            return forgotten
        forgotten, last = forgotten + step.forgotten, step.last


def _timeless(group: str, before: datetime) -> int:
    forgotten = 0
    while step := store.forget_timeless(group=group, before=before, limit=_AT_ONCE):
        forgotten += step
    return forgotten
