"""House-keeping that beat asks for and no app can own alone: `events` works where there is no Celery."""

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

import events.inbox.retention as inbox_retention
import events.outbox.retention as outbox_retention
from events.conf import EventsSettings


# So that few pile up while no worker runs.
@shared_task(expires=900)
def prune_events() -> None:
    """Delete what is older than OUTBOX_RETENTION_D and INBOX_RETENTION_D, of each what nobody needs any more."""
    settings, now = EventsSettings.current(), timezone.now()
    outbox_retention.prune(before=now - timedelta(days=settings.outbox_retention_d))
    inbox_retention.prune(before=now - timedelta(days=settings.inbox_retention_d))
