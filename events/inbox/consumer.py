"""The loop: poll, hand over a batch, commit the offsets of what was settled.

Begun by the command `consume_events`. One poll's records go to `batch` and are through, or held, before the next
poll, so that none is in hand when the group takes partitions away. What the client does when brokers, groups and
topics change under it: docs/decisions/kafka-client.md.
"""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from django.db import Error, close_old_connections, reset_queries

from events import observe
from events.conf import EventsSettings
from events.errors import EventsError, Permanent
from events.inbox import batch, positions, retries
from events.inbox.delivery import Away, PartAway, database_is_away
from events.inbox.group import Group
from events.inbox.holds import AFTER_OUTAGE, Holds
from events.kafka import BrokersAway, NoOffset, OffsetOutOfRange, Place, Rebalanced, Record
from events.kafka import Consumer as KafkaConsumer
from events.probes import Health
from events.stop import Stop

_POLL_S = 0.5  # how long a signal may go unseen
_RETRY_WITHIN_S = 0.5  # between two polls
_LOOK_EVERY_S = 5.0
_LOOK_WITHIN_S = 1.0


class Gone:
    """Notes which partitions went, even if they came back: told on the client's own thread, taken between two polls.

    Whoever had them meanwhile may have gone on, so nothing that is known of them here holds any more. Those that a
    rebalance leaves where they are keep their positions in the client, and what is known of them.

    Who sleeps through one rebalance is told of the next alone, and may commit less than another has meanwhile: then
    records come again, and the inbox knows them.
    """

    def __init__(self) -> None:
        self._had: frozenset[Place] = frozenset()
        self._noted: deque[frozenset[Place]] = deque()  # its ends are safe to use from two threads

    def assigned(self, places: frozenset[Place]) -> None:
        """What this member had and has no more is another's now."""
        self._noted.append(self._had - places)
        self._had = places

    def revoked(self, places: frozenset[Place]) -> None:
        """Nothing to note: these are all of them, at every rebalance, and most come back at once."""

    def lost(self, places: frozenset[Place]) -> None:
        """The group took this member for dead."""
        self._noted.append(places)
        self._had = frozenset()

    def take(self) -> frozenset[Place]:
        """What went since the last call."""
        places: frozenset[Place] = frozenset()
        while self._noted:
            places |= self._noted.popleft()
        return places


class Consumer:
    """One member of the group. Brings each event to its handlers, in order within a partition."""

    def __init__(self, *, settings: EventsSettings, topics: Sequence[str], group: Group, health: Health) -> None:
        self._settings = settings
        self._topics = topics
        self._group = group
        self._health = health
        self._gone = Gone()
        self._kafka = KafkaConsumer(settings, topics=topics, assignments=self._gone)
        self._offsets = positions.Offsets(self._kafka)
        self._holds = Holds()
        self._owned: frozenset[Place] = frozenset()  # as the log was told
        self._expects_failures = False
        self._at_once = settings.consumer_batch
        self._commit_at = self._look_at = self._retry_at = 0.0
        self._retries_in_vain = 0
        self._retry_away: str | None = None
        self._failures = 0  # of brokers, since they last answered; or of the database, asked where to begin
        self._failing = "kafka"

    def run(self, stop: Stop, *, once: bool = False) -> None:
        """Go on until asked to stop; with `once`, until the end of what was there at the start."""
        end = positions.End(self._kafka) if once else None
        try:
            while not stop.is_asked and not self._go_round(stop, end):
                pass
        finally:
            self._finish()

    def _go_round(self, stop: Stop, end: positions.End | None) -> bool:
        """Gives whether the end is reached."""
        is_over = False
        try:
            self._take(self._poll(), stop)
            self._offsets.follow(held=self._holds.places())
            if not stop.is_asked:
                self._retry_when_due()
            self._commit_when_due()
            self._look_when_due()
            is_over = end is not None and end.is_reached(self._offsets.settled)
        except Rebalanced:
            pass  # the next poll tells what is ours
        except BrokersAway:
            observe.record_waiting(part="kafka", wait_s=self._wait(stop))
        except PartAway as gone:
            observe.record_waiting(part=gone.away.part, wait_s=self._wait(stop, part=gone.away.part))
        except Permanent as error:  # a permission or a topic: somebody may give it yet
            observe.record_refused(reason=f"{type(error).__name__}: {error}", wait_s=self._wait(stop))
        self._health.went_round(missing=self._missing())
        return is_over

    def _poll(self) -> list[Record]:
        if not self._group.cluster:
            self._group = replace(self._group, cluster=self._kafka.cluster_id(timeout_s=_LOOK_WITHIN_S))
        self._kafka.resume(self._kafka.assignment() - self._holds.waiting())
        try:
            return self._kafka.poll(timeout_s=self._holds.wait_s(_POLL_S))
        except NoOffset as error:
            self._begin(error.places)
        except OffsetOutOfRange as error:
            self._forget(error.places)
            positions.begin_again(self._kafka, error.places)
        finally:
            self._follow_assignment()
        return []

    def _begin(self, places: Iterable[Place]) -> None:
        close_old_connections()
        start_from = self._settings.consumer_from
        try:
            positions.begin(self._kafka, places, topics=self._topics, group=self._group.name, start_from=start_from)
        except Error as error:
            if not database_is_away(error):
                raise
            raise PartAway(Away("database", error)) from error

    def _follow_assignment(self) -> None:
        """A position belongs to the present assignment alone."""
        mine = self._kafka.assignment()
        self._forget(self._gone.take() | (self._offsets.settled.keys() | self._holds.places()) - mine)
        if mine != self._owned:
            self._owned = mine
            self._look_at = 0.0
            observe.record_partitions(mine)

    def _take(self, records: Sequence[Record], stop: Stop) -> None:
        close_old_connections()
        reset_queries()
        if not records:
            return
        self._failures = 0
        progress = batch.handle(
            records,
            self._group,
            carefully=self._expects_failures,
            at_once=self._at_once,
            goes_on=partial(self._goes_on, stop),
        )
        self._expects_failures = progress.had_failures
        self._at_once = min(progress.at_once, self._settings.consumer_batch)
        if progress.settled and self._retry_away == "database":
            self._retry_away, self._retry_at = None, 0.0  # it answers again
        self._note(progress)

    def _goes_on(self, stop: Stop) -> bool:
        """One transaction is through: a batch of many slow ones does not hang, and ends early when it should."""
        self._health.went_round(missing=self._missing())
        return not stop.is_asked

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
        self._offsets.note(progress.settled)
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
        """What went since the poll, be it back by now, another may have brought further."""
        self._follow_assignment()
        self._offsets.commit()

    def _look_when_due(self) -> None:
        """Ask a broker for something: a poll says nothing of brokers that are away."""
        if self._failures or time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_EVERY_S
            observe.record_lag(self._offsets.behind())
            self._failures = 0

    def _wait(self, stop: Stop, *, part: str = "kafka") -> float:
        self._failures += 1
        self._failing = part
        wait_s = AFTER_OUTAGE.wait_s(self._failures)
        stop.wait(wait_s)
        return wait_s

    def _missing(self) -> str | None:
        if self._failures:
            return self._failing
        if not (self._owned or self._kafka.stands_by(self._topics)):
            return "kafka"
        return self._holds.away or self._retry_away

    def _forget(self, places: Iterable[Place]) -> None:
        self._offsets.forget(places)
        self._holds.forget(places)

    def _finish(self) -> None:
        # What cannot be committed now comes again, and the inbox knows it.
        with suppress(EventsError):
            self._commit()
        self._kafka.close()
        observe.record_lag({})
