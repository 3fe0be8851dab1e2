"""The relay's loop: read what is pending, send it, wait for Kafka's acknowledgement, mark it.

Before it stands `publish`, which wrote the records; after it Kafka and whoever consumes. Nothing is marked before it
is acknowledged, so a record may arrive twice and never not at all; within a key the first arrivals are in order.
An outage burns no attempt; a record that the broker refuses holds back its own key only and ends dead.
"""

import time

from django.db import connection, reset_queries

from events import observe
from events.backoff import Backoff
from events.conf import EventsSettings
from events.errors import Permanent, Transient
from events.kafka import Acknowledged, BrokersAway
from events.outbox import store
from events.outbox.producer import Collected, SupervisedProducer
from events.outbox.reader import Reader
from events.outbox.shards import Ownership
from events.outbox.store import DatabaseAway, Pending
from events.outbox.wakeup import Wakeup
from events.probes import Health
from events.stop import Stop
from events.trace import following

WINDOW = 2_000  # records read and not yet marked
READ_AT_ONCE = 500
ATTEMPTS_MOST = 10
AFTER_REFUSAL = Backoff(first_s=1.0, most_s=60.0)
AFTER_OUTAGE = Backoff(first_s=0.1, most_s=2.0)
_LOOK_WITHIN_S = 0.02
_SHARE_OF_STOP = 0.7  # of the time to stop in: for what is on its way; the rest is room for the process to end


class Relay:
    """One process's relay, to be run once."""

    def __init__(self, *, settings: EventsSettings, health: Health) -> None:
        self._health = health
        self._drain_within_s = settings.stop_within_s * _SHARE_OF_STOP
        self._ownership = Ownership(settings.database_direct_url)
        self._producer = SupervisedProducer(settings)
        self._reader: Reader | None = None  # None: the shards are not ours
        self._wakeup = Wakeup()
        self._acknowledged: dict[int, Acknowledged] = {}
        self._is_alone = False  # whether the record on its way must have no company
        self._missing: str | None = None
        self._outages = 0

    def run(self, stop: Stop, *, once: bool = False) -> None:
        """Relay until asked to stop; with `once` until nothing is left that can be sent now."""
        try:
            while not stop.is_asked:
                is_busy = self._round(stop)
                if once and self._reader and not is_busy:
                    break
            self._drain()
        finally:
            self._producer.end()
            self._ownership.release()
            connection.close()

    def _round(self, stop: Stop) -> bool:
        """Once round; gives whether there was something to do."""
        reset_queries()
        try:
            reader = self._own()
            is_busy = reader is not None and self._relay(reader)
        except BrokersAway:
            return self._wait_for("kafka", stop)
        except DatabaseAway:
            return self._wait_for("database", stop)
        if is_busy:
            self._wakeup.worked()
        else:
            self._all_is_there()
            self._wakeup.wait(stop)
        self._health.went_round(missing="kafka" if self._producer.is_stalled else self._missing)
        return is_busy

    def _own(self) -> Reader | None:
        """Keep or take the shards; where they are lost, drop everything but what is acknowledged."""
        is_owner = False
        try:
            is_owner = self._ownership.beat()
        finally:
            if not is_owner:
                self._keep(self._producer.end())
                self._reader = None
        if is_owner and self._reader is None:
            self._reader = Reader.after(self._acknowledged)
        return self._reader

    def _relay(self, reader: Reader) -> bool:
        self._mark(reader)
        if reader.taken <= WINDOW - READ_AT_ONCE:
            reader.read(READ_AT_ONCE)
        is_busy = reader.taken > 0
        self._send(reader)
        self._settle(reader, self._producer.collect(wait_s=_LOOK_WITHIN_S if self._producer.in_flight else 0))
        self._mark(reader)
        return is_busy

    def _send(self, reader: Reader) -> None:
        while (record := reader.next) and self._may_send(record, is_alone=reader.must_go_alone(record)):
            try:
                self._producer.send(record)
                reader.pop()
            except BrokersAway as error:
                self._settle(reader, self._producer.end_after(record, error))
            except Permanent as error:
                observe.record_send_failed(topic=record.envelope.topic, reason=type(error).__name__, records=1)
                self._refuse(reader, record, error)

    def _may_send(self, record: Pending, *, is_alone: bool) -> bool:
        # A process that was paused must find out here, before the record leaves, that another may own its shards.
        if not self._ownership.is_fresh:
            return False
        if self._producer.in_flight and (is_alone or self._is_alone):
            return False
        self._is_alone = is_alone
        return True

    def _settle(self, reader: Reader, collected: Collected) -> None:
        """Keep what was acknowledged. Raises BrokersAway when the rest failed and no record is to blame."""
        self._keep(collected)
        if collected.broken is None:
            return
        reader.start_over(keep=self._acknowledged)
        observe.record_producer_replaced(reason=str(collected.broken))
        for (topic, reason), records in collected.failures.items():
            observe.record_send_failed(topic=topic, reason=reason, records=records)
        match collected.refused:
            case []:
                raise BrokersAway(str(collected.broken))
            case [(record, error)]:
                self._refuse(reader, record, error)
            case several:
                reader.suspect([record for record, _ in several])

    def _keep(self, collected: Collected) -> None:
        for record, at in collected.acknowledged:
            self._acknowledged[record.id] = at
            with following(record.traceparent):
                observe.record_published(
                    topic=record.envelope.topic, event_id=record.event_id, partition=at.partition, offset=at.offset
                )
        if collected.acknowledged:
            self._all_is_there()

    def _mark(self, reader: Reader | None) -> None:
        if not self._acknowledged:
            return
        store.mark(self._acknowledged)
        if reader:
            reader.forget(self._acknowledged)
        self._acknowledged = {}

    def _refuse(self, reader: Reader, record: Pending, error: Permanent) -> None:
        """Hold back the record's key until the next attempt; after the last one the record is dead."""
        topic, attempt, told = record.envelope.topic, record.attempts + 1, f"{type(error).__name__}: {error}"
        if attempt < ATTEMPTS_MOST:
            wait_s = AFTER_REFUSAL.wait_s(attempt)
            reader.hold_back(record.order_key, wait_s=wait_s)
            store.postpone(record.id, error=told, wait_s=wait_s)
            observe.record_held_back(topic=topic, event_id=record.event_id, attempt=attempt, wait_s=wait_s)
        else:
            store.bury(record.id, error=told)
            reader.drop(record)
            observe.record_record_dead(topic=topic, event_id=record.event_id, reason=told)

    def _all_is_there(self) -> None:
        self._missing, self._outages = None, 0

    def _wait_for(self, part: str, stop: Stop) -> bool:
        """Back off from an outage, which burns no attempt. The session of the lock outlives the longest wait."""
        self._missing, self._outages = part, self._outages + 1
        wait_s = AFTER_OUTAGE.wait_s(self._outages)
        observe.record_waiting(part=part, wait_s=wait_s)
        self._health.went_round(missing=part)
        stop.wait(wait_s)
        return True

    def _drain(self) -> None:
        """Send nothing more; wait, within a limit, for what is on its way, and mark it."""
        until = time.monotonic() + self._drain_within_s
        while (self._producer.in_flight or self._acknowledged) and time.monotonic() < until:
            try:
                reader = self._own()
                if reader:
                    self._settle(reader, self._producer.collect(wait_s=_LOOK_WITHIN_S))
                self._mark(reader)
            except Transient:
                time.sleep(_LOOK_WITHIN_S)
