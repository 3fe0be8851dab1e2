"""House-keeping that beat asks for and no app can own alone: `events` works where there is no Celery."""

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from events.conf import EventsSettings
from events.outbox.retention import prune


# So that few pile up while no worker runs.
@shared_task(expires=900)
def prune_outbox() -> None:
    """Delete published records that are older than OUTBOX_RETENTION_D."""
    prune(before=timezone.now() - timedelta(days=EventsSettings.current().outbox_retention_d))
