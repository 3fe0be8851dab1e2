"""Celery's way into `accounts.outside` and the services: each task is told an id at most, and reads the row.

So a message that is lost, doubled or late does no harm. `outside.queue` sends those of one row right after its commit,
beat the sweeps.
"""

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from accounts.outside import attempts
from accounts.services import lifecycle, registration


@shared_task
def settle_outside_call(call_id: str) -> None:
    """Make this call, if it is still owed."""
    attempts.attempt_one(UUID(call_id))


# So that few pile up while no worker runs; long enough for clocks that differ.
@shared_task(expires=60)
def sweep_outside_calls() -> None:
    """Make the mails that are due: those that the queue lost, failed ones and those that an outage held up."""
    attempts.sweep()


@shared_task(expires=60)
def sweep_webhooks() -> None:
    """Make the webhooks that are due, beside the mails: neither waits for the other."""
    attempts.sweep_webhooks()


@shared_task
def complete_registration(registration_id: str) -> None:
    """Make the user of this registration, if it is still waiting."""
    registration.complete(UUID(registration_id), now=timezone.now())


@shared_task(expires=60)
def sweep_registrations() -> None:
    """Ask again for those that the queue lost, each by a task of its own."""
    for registration_id in registration.waiting():
        complete_registration.delay(str(registration_id))


@shared_task
def end_suspension(user_id: str) -> None:
    """Let this user in again, if the suspension is over."""
    lifecycle.end_suspension(UUID(user_id), now=timezone.now())


@shared_task(expires=60)
def end_suspensions() -> None:
    """Let those in again whose suspension is over, each by a task of its own."""
    for user_id in lifecycle.suspended_until(timezone.now()):
        end_suspension.delay(str(user_id))


@shared_task
def end_grace(user_id: str) -> None:
    """Delete this user, if the time to come back is over."""
    lifecycle.end_grace(UUID(user_id), now=timezone.now())


@shared_task(expires=60)
def end_graces() -> None:
    """Delete those who have not come back, each by a task of its own."""
    for user_id in lifecycle.leaving_until(timezone.now()):
        end_grace.delay(str(user_id))
