"""How many partitions of a topic keys are spread over, and whether it is paused: every statement on that table.

`relay` sends by `Pins`; `kafka topics create` pins what the broker has; `growth` pauses, pins anew and goes on. The
broker's own count does not decide: relays would learn of a new one at different times, and send one key to two
partitions. Why a pause is a matter of time: docs/decisions/partitions.md.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from events.outbox.session import Session

GOOD_FOR_S = 2.0  # how long a reading holds; who pauses a topic waits for so long before anything else
_RENEW_EVERY_S = 1.0
_NEVER = float("-inf")

_ALL = "select topic, partitions, paused_at from events_topic_partitions order by topic"
_PIN = "insert into events_topic_partitions (topic, partitions) values (%s, %s) on conflict do nothing"
# A second run takes over from one that ended half-way, which then finds its own time gone.
_PAUSE = "update events_topic_partitions set paused_at = clock_timestamp() where topic = %s returning paused_at"
_GO_ON = """
update events_topic_partitions set partitions = %s, paused_at = null where topic = %s and paused_at = %s returning true
"""


class Pin(NamedTuple):
    """One topic's count, and since when nothing is sent to it, where that is so."""

    partitions: int
    paused_at: datetime | None


class Pins:
    """All of them as a relay goes by them, on its own session; nothing may be sent by a reading older than 2 s."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._read_at = _NEVER
        self._pins: Mapping[str, Pin] = {}
        self.paused: frozenset[str] = frozenset()  # topics, at the last reading

    def renew(self) -> None:
        """Read them again, if that is a second ago. Raises DatabaseAway."""
        # The time before asking: an answer that comes late must not look fresh.
        now = time.monotonic()
        if now - self._read_at >= _RENEW_EVERY_S:
            self._pins = _by_topic(self._session.run(_ALL))
            self.paused = frozenset(topic for topic, pin in self._pins.items() if pin.paused_at is not None)
            self._read_at = now

    def may_send(self, topic: str) -> bool:
        """Whether the topic is certainly not paused: look immediately before each send."""
        return time.monotonic() - self._read_at < GOOD_FOR_S and topic not in self.paused

    def count(self, topic: str) -> int | None:
        """How many partitions its keys are spread over; None: never pinned, as many as it has."""
        return self._pins[topic].partitions if topic in self._pins else None


def pins() -> dict[str, Pin]:
    """All of them, by topic."""
    with connection.cursor() as cursor:
        cursor.execute(_ALL)
        return _by_topic(cursor.fetchall())


def pin(topic: str, partitions: int) -> None:
    """Pin a topic that is not pinned yet; of one that is, the count stays."""
    with connection.cursor() as cursor:
        cursor.execute(_PIN, [topic, partitions])


def pause(topic: str) -> datetime | None:
    """Have relays send nothing more to a topic, once their readings are too old; gives the run's own time.

    None where the topic is not pinned.
    """
    with connection.cursor() as cursor:
        cursor.execute(_PAUSE, [topic])
        row = cursor.fetchone()
    return row[0] if row else None


def go_on(topic: str, *, paused_at: datetime, partitions: int) -> bool:
    """End the pause that began then, with this count; False where another run has taken over."""
    with connection.cursor() as cursor:
        cursor.execute(_GO_ON, [partitions, topic, paused_at])
        return cursor.fetchone() is not None


def _by_topic(rows: list[tuple[str, int, datetime | None]]) -> dict[str, Pin]:
    return {topic: Pin(partitions, paused_at) for topic, partitions, paused_at in rows}
