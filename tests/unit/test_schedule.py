"""What beat asks for, and that it comes to that however often it is started anew."""

from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery.schedules import maybe_schedule
from django.conf import settings

NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
HOURS = 6
ENTRIES: dict[str, dict[str, Any]] = settings.CELERY_BEAT_SCHEDULE


def runs(entry: dict[str, Any], *, started_every: timedelta) -> int:
    """How often beat asks for it within six hours, looking at it every ten seconds; a new beat takes it as run now."""
    schedule: Any = copy(maybe_schedule(entry["schedule"]))
    started = ran_at = now = NINE
    count = 0
    schedule.nowfun = lambda: now
    while now < NINE + timedelta(hours=HOURS):
        now += timedelta(seconds=10)
        if now - started >= started_every:
            started = ran_at = now
        if schedule.is_due(ran_at).is_due:
            ran_at, count = now, count + 1
    return count


@pytest.mark.parametrize("minutes", [5, 29, 50, 59, 60, 600])
def test_house_keeping_comes_once_an_hour_whenever_beat_was_started(minutes: int) -> None:
    assert runs(ENTRIES["prune"], started_every=timedelta(minutes=minutes)) == HOURS


@pytest.mark.parametrize("name", sorted(ENTRIES.keys() - {"prune"}))
def test_what_is_swept_waits_for_seconds_alone_after_a_start(name: str) -> None:
    assert ENTRIES[name]["schedule"] == 10
