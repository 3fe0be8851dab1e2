"""The loop: poll, hand over a batch, commit the offsets of what was settled.

Begun by the command `consume_events`. One poll's records go to `batch` and are through, or held, before the next
poll, so that none is in hand when the group takes partitions away. What the client does when brokers, groups and
topics change under it: docs/decisions/kafka-client.md.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from django.db import close_old_connections, reset_queries

from events import observe
from events.conf import EventsSettings
from events.errors import EventsError, Permanent
from events.inbox import batch, positions, retries
from events.inbox.group import Group
from events.inbox.holds import AFTER_OUTAGE, Holds
from events.kafka import BrokersAway, NoOffset, OffsetOutOfRange, Place, Rebalanced, Record
from events.kafka import Consumer as KafkaConsumer
from events.probes import Health
from events.stop import Stop

_POLL_S = 0.5  # how long a signal may go unseen
_COMMIT_WITHIN_S = 2.0
_RETRY_WITHIN_S = 0.5  # between two polls
_LOOK_EVERY_S = 5.0
_LOOK_WITHIN_S = 1.0


class Lost:
    """Notes which partitions were lost: told on the client's own thread, taken between two polls."""

    def __init__(self) -> None:
        self._places: frozenset[Place] = frozenset()

    def assigned(self, places: frozenset[Place]) -> None:
        """Nothing to note: a partition without a position makes the next poll say so."""

    def revoked(self, places: frozenset[Place]) -> None:
        """Nothing to note: the assignment tells which of them are gone once the group has settled."""

    def lost(self, places: frozenset[Place]) -> None:
        """Another member may have gone on with these already, even if they come back."""
        self._places |= places

    def take(self) -> frozenset[Place]:
        """What was lost since the last call."""
        places, self._places = self._places, frozenset()
        return places


class Consumer:
    """One member of the group. Brings each event to its handlers, in order within a partition."""

    def __init__(self, *, settings: EventsSettings, topics: Sequence[str], group: Group, health: Health) -> None:
        self._settings = settings
        self._group = group
        self._health = health
        self._lost = Lost()
        self._kafka = KafkaConsumer(settings, topics=topics, assignments=self._lost)
        self._holds = Holds()
        self._settled: dict[Place, int] = {}
        self._committed: dict[Place, int] = {}
        self._expects_failures = False
        self._commit_at = self._look_at = self._retry_at = 0.0
        self._retries_in_vain = 0
        self._retry_away: str | None = None
        self._failures = 0  # of brokers, since they last answered

    def run(self, stop: Stop, *, once: bool = False) -> None:
        """Go on until asked to stop; with `once`, until the end of what was there at the start."""
        end = positions.End(self._kafka) if once else None
        try:
            while not stop.is_asked and not (end and end.is_reached(self._settled)):
                self._go_round(stop)
        finally:
            self._finish()

    def _go_round(self, stop: Stop) -> None:
        try:
            self._take(self._poll())
            self._retry_when_due()
            self._commit_when_due()
            self._look_when_due()
        except Rebalanced:
            pass  # the next poll tells what is ours
        except BrokersAway:
            observe.record_waiting(part="kafka", wait_s=self._wait(stop))
        except Permanent as error:  # a permission or a topic: somebody may give it yet
            observe.record_refused(reason=f"{type(error).__name__}: {error}", wait_s=self._wait(stop))
        self._health.went_round(missing=self._missing())

    def _poll(self) -> list[Record]:
        self._kafka.resume(self._kafka.assignment() - self._holds.waiting())
        try:
            return self._kafka.poll(timeout_s=self._holds.wait_s(_POLL_S))
        except NoOffset as error:
            positions.begin(self._kafka, error.places, start_from=self._settings.consumer_from)
        except OffsetOutOfRange as error:
            self._forget(error.places)
            positions.begin_again(self._kafka, error.places)
        return []

    def _take(self, records: Sequence[Record]) -> None:
        gone = (self._settled.keys() | self._holds.places()) - self._kafka.assignment()
        self._forget(gone | self._lost.take())
        if not records:
            return
        self._failures = 0
        close_old_connections()
        reset_queries()
        progress = batch.handle(records, self._group, carefully=self._expects_failures)
        self._expects_failures = progress.had_failures
        self._note(progress)

    def _retry_when_due(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        away = retries.retry_due(self._group, within_s=_RETRY_WITHIN_S)
        self._retries_in_vain = self._retries_in_vain + 1 if away else 0
        self._retry_away = away.part if away else None
        if away:
            wait_s = AFTER_OUTAGE.wait_s(self._retries_in_vain)
            self._retry_at = time.monotonic() + wait_s
            observe.record_waiting(part=away.part, wait_s=wait_s)

    def _note(self, progress: batch.Progress) -> None:
        self._settled |= progress.settled
        self._holds.forget(progress.settled)
        for place, offset in progress.unsettled.items():
            with suppress(Rebalanced):  # another member's by now; the others' positions must go back all the same
                self._hold(place, offset, away=progress.away.part if progress.away else None)

    def _hold(self, place: Place, offset: int, *, away: str | None) -> None:
        """Read on from `offset` after a while; the partition's later records wait with it."""
        self._kafka.seek(place, offset)
        self._kafka.pause([place])
        wait_s = self._holds.hold(place, away=away)
        if away:
            observe.record_waiting(part=away, wait_s=wait_s)

    def _commit_when_due(self) -> None:
        if time.monotonic() >= self._commit_at:
            self._commit_at = time.monotonic() + self._settings.consumer_commit_interval_ms / 1000
            self._commit()

    def _commit(self) -> None:
        news = dict(self._settled.items() - self._committed.items())
        if news:
            self._kafka.commit(news, timeout_s=_COMMIT_WITHIN_S)
            self._committed |= news

    def _look_when_due(self) -> None:
        """Ask a broker for something: a poll says nothing of brokers that are away."""
        if self._failures or time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_EVERY_S
            self._kafka.end_offsets(self._kafka.assignment(), timeout_s=_LOOK_WITHIN_S)
            self._failures = 0

    def _wait(self, stop: Stop) -> float:
        self._failures += 1
        wait_s = AFTER_OUTAGE.wait_s(self._failures)
        stop.wait(wait_s)
        return wait_s

    def _missing(self) -> str | None:
        if self._failures or not self._kafka.assignment():
            return "kafka"
        return self._holds.away or self._retry_away

    def _forget(self, places: Iterable[Place]) -> None:
        """Commit nothing of these any more."""
        for place in places:
            self._settled.pop(place, None)
            self._committed.pop(place, None)
        self._holds.forget(places)

    def _finish(self) -> None:
        # What cannot be committed now comes again, and the inbox knows it.
        with suppress(EventsError):
            self._commit()
        self._kafka.close()
