"""What `--keep-days` means to the commands that prune."""

from datetime import datetime, timedelta

from django.core.management.base import CommandError
from django.utils import timezone

from events.conf import RETENTION_MOST_D


def kept_from(days: int | None, *, usual_d: int, least_d: int) -> datetime:
    """The time before which all goes; `usual_d` days ago where none are given. Raises CommandError: too few or many."""
    kept = usual_d if days is None else days
    if kept < least_d:
        raise CommandError(f"--keep-days: {least_d} or more: a week longer than the topics keep theirs")
    if kept > RETENTION_MOST_D:
        raise CommandError(f"--keep-days: {RETENTION_MOST_D} at most")
    return timezone.now() - timedelta(days=kept)
