"""Celery's way into `accounts.outside`: each task is told an id at most, and what is owed is read from its row.

So a message that is lost, doubled or late does no harm. `outside.queue` sends the first; beat the second.
"""

from uuid import UUID

from celery import shared_task

from accounts.outside import attempts


@shared_task
def settle_outside_call(call_id: str) -> None:
    """Make this call, if it is still owed."""
    attempts.attempt_one(UUID(call_id))


# So that few pile up while no worker runs; long enough for clocks that differ.
@shared_task(expires=60)
def sweep_outside_calls() -> None:
    """Make what is due: calls that the queue lost, failed ones and those that an outage held up."""
    attempts.sweep()
