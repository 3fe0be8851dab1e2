"""Partitions that stand still for a while because their next record cannot be settled now.

`consumer` holds a partition when `batch` leaves it unsettled: paused, so that polling goes on and the group keeps
this member; taken up again at the same record when the time has come.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from events.backoff import Backoff
from events.kafka import Place

AFTER_FAILURE = Backoff(first_s=0.25, most_s=30.0)
AFTER_OUTAGE = Backoff(first_s=0.25, most_s=5.0)


@dataclass(frozen=True, slots=True)
class _Hold:
    attempt: int
    until: float
    away: str | None


class Holds:
    """Which partitions wait, until when (monotonic seconds), and for which part if it is one."""

    def __init__(self) -> None:
        self._holds: dict[Place, _Hold] = {}

    def hold(self, place: Place, *, away: str | None) -> float:
        """Let `place` wait, longer each time it fails again; gives the seconds."""
        before = self._holds.get(place)
        attempt = before.attempt + 1 if before else 1
        wait_s = (AFTER_OUTAGE if away else AFTER_FAILURE).wait_s(attempt)
        self._holds[place] = _Hold(attempt, time.monotonic() + wait_s, away)
        return wait_s

    def forget(self, places: Iterable[Place]) -> None:
        """These went well, or are another member's."""
        for place in places:
            self._holds.pop(place, None)

    def places(self) -> set[Place]:
        """All that are held: also those whose time has come, until they are forgotten."""
        return set(self._holds)

    def waiting(self) -> set[Place]:
        """Those whose time has not come."""
        now = time.monotonic()
        return {place for place, hold in self._holds.items() if hold.until > now}

    def wait_s(self, most_s: float) -> float:
        """Seconds until the next one becomes due, at most `most_s`."""
        now = time.monotonic()
        return min([most_s, *(hold.until - now for hold in self._holds.values() if hold.until > now)])

    @property
    def away(self) -> str | None:
        """A part that is waited for, if any."""
        return next((hold.away for hold in self._holds.values() if hold.away), None)
