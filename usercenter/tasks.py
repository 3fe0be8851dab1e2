"""House-keeping that beat asks for and no app can own alone: `events` works where there is no Celery."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

import events.inbox.retention as inbox_retention
import events.outbox.retention as outbox_retention
from accounts import erasure, retention
from events.conf import EventsSettings


# So that few pile up while no worker runs.
@shared_task(expires=3600)
def prune() -> None:
    """Delete what is kept for a while and has been, a little at a time, in all tables; and what an erasure missed."""
    _run_all([_prune_outbox, _prune_inbox, retention.prune, _erase_missed, _erase_late])


def _prune_outbox() -> None:
    """What was published more than OUTBOX_RETENTION_D days ago."""
    outbox_retention.prune(before=timezone.now() - timedelta(days=EventsSettings.current().outbox_retention_d))


def _prune_inbox() -> None:
    """What was received more than INBOX_RETENTION_D days ago."""
    inbox_retention.prune(before=timezone.now() - timedelta(days=EventsSettings.current().inbox_retention_d))


def _erase_missed() -> None:
    """Whom the consumer has not erased."""
    erasure.clean_up_missed(now=timezone.now())


def _erase_late() -> None:
    """What came beside an erasure."""
    erasure.erase_late(now=timezone.now())


def _run_all(steps: Sequence[Callable[[], None]]) -> None:
    """One that fails keeps none of the others from its work. Raises what they raised, together."""
    failures: list[Exception] = []
    for step in steps:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the task's border; raised below
            failures.append(error)
    if failures:
        raise ExceptionGroup("prune", failures)
