"""House-keeping that beat asks for and no app can own alone: `events` works where there is no Celery.

Two tasks, so that one which fails does not keep the other from its work. Each expires, so that few pile up while no
worker runs.
"""

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

import events.inbox.retention as inbox_retention
import events.outbox.retention as outbox_retention
from events.conf import EventsSettings

_EXPIRES_S = 900


@shared_task(expires=_EXPIRES_S)
def prune_outbox() -> None:
    """Delete what was published more than OUTBOX_RETENTION_D days ago."""
    outbox_retention.prune(before=timezone.now() - timedelta(days=EventsSettings.current().outbox_retention_d))


@shared_task(expires=_EXPIRES_S)
def prune_inbox() -> None:
    """Forget what was received more than INBOX_RETENTION_D days ago."""
    inbox_retention.prune(before=timezone.now() - timedelta(days=EventsSettings.current().inbox_retention_d))
