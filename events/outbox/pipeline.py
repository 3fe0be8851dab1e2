"""Reading ahead, sending and marking at once, bounded by a window in records and in bytes.

`relay` drives it, with the shards that this process owns; Kafka's client sends on its own thread, `marker` marks on
another. Nothing is marked before it is acknowledged; within a key first arrivals are in order, whatever fails.
"""

from collections.abc import Callable, Collection, Iterable, Sequence

from events import observe
from events.backoff import Backoff
from events.conf import EventsSettings
from events.errors import Permanent
from events.kafka import BrokersAway, NotAuthorised, UnknownTopic
from events.outbox import store
from events.outbox.marker import Marker
from events.outbox.partitions import Pins
from events.outbox.producer import Collected, SupervisedProducer
from events.outbox.reader import Reader
from events.outbox.session import Session
from events.outbox.store import Mark, Pending
from events.outbox.telling import tell_published
from events.outbox.window import Window, firsts

ATTEMPTS_MOST = 10
AFTER_REFUSAL = Backoff(first_s=1.0, most_s=60.0)
WINDOW_BYTES = 32_000_000
_QUIET_S = 0.02  # how soon to read again while records are on their way: where the last read was empty
_BUSY_S = 0.003  # and where it was not


class Pipeline:
    """The records of the shards that this process owns, from the outbox to Kafka and back."""

    def __init__(self, settings: EventsSettings, *, batch: int, is_fresh: Callable[[], bool]) -> None:
        self._most = settings.outbox_window
        self._at_once = min(batch, self._most)
        self._is_fresh = is_fresh
        self._session = Session(settings.database_direct_url)
        self._marker = Marker(Session(settings.database_direct_url))
        self._pins = Pins(self._session)
        self._producer = SupervisedProducer(settings, partitions=self._pins.count)
        self._window = Window()
        self._reader = Reader(self._session)
        self._look_s = _QUIET_S

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in hand: all that was read is marked, held back or dead."""
        return not self._window and not self._marker.count

    @property
    def is_under_way(self) -> bool:
        """Whether anything is on its way, or acknowledged and not yet marked."""
        return bool(self._window.on_their_way or self._marker.count)

    @property
    def is_stalled(self) -> bool:
        """Whether Kafka has acknowledged nothing for 3 s."""
        return self._producer.is_stalled

    @property
    def shards(self) -> set[int]:
        """Of all that is on its way or acknowledged and not yet marked."""
        return self._window.shards | self._marker.shards

    def prepare(self) -> None:
        """Open all sessions and the client, before the first record needs them. Raises DatabaseAway, BrokersAway."""
        self._pins.renew()
        self._producer.prepare()
        # It looks at all that is pending, so it comes once, and not at each look for brokers that are away.
        store.forget_foreign_numbers(self._session)

    def start_over(self) -> None:
        """The shards are, or were, another's: send nothing more of what is in hand, and read from the start.

        What is acknowledged is still marked, and not sent again.
        """
        self._note(self._producer.end())
        self._window = Window()
        self._reader = Reader(self._session, keep=self._marker.ids)

    def leave(self, shards: Collection[int]) -> None:
        """Send nothing more of these."""
        self._reader.leave(shards)
        self._reader.forget(_ids(self._window.drop_shards(shards)))

    def is_outbox_empty(self) -> bool:
        """Whether nothing at all is pending, in anybody's shards. Raises DatabaseAway."""
        return store.is_empty(self._session)

    def read(self, mine: frozenset[int]) -> bool:
        """Read ahead where there is room for a batch; gives whether there may be more. Raises DatabaseAway."""
        if not self._has_room:
            return True
        bytes_most = WINDOW_BYTES - self._window.bytes
        self._pins.renew()
        paused = self._pins.paused
        records = self._reader.read(mine, limit=self._at_once, bytes_most=bytes_most, paused=paused)
        self._window.add(records)
        again = self._reader.read_held(limit=self._at_once, bytes_most=bytes_most, paused=paused)
        self._window.add(again)
        self._look_s = _BUSY_S if records else _QUIET_S
        return bool(records or again) or self._reader.has_more

    def send(self) -> None:
        """Give the queue to the client, and have it leave. Raises BrokersAway, DatabaseAway."""
        self._pins.renew()
        try:
            while (record := self._next()) and self._may_send(record):
                self._give(record)
        finally:
            # A process that was paused must find out here, before anything leaves, that another may own its shards.
            if self._is_fresh():
                self._producer.let_go()

    def collect(self, *, will_read: bool = True) -> bool:
        """Take what Kafka acknowledged; gives whether there was any. Raises BrokersAway, DatabaseAway."""
        # What `send` left in the queue waits for something on its way.
        may_go_on = will_read and self._reader.has_more and self._has_room and self._window.next is None
        wait_s = 0 if may_go_on or not self._window.on_their_way else self._look_s
        collected = self._producer.collect(wait_s=wait_s)
        self._take(collected)
        return bool(collected.acknowledged)

    def mark(self) -> None:
        """Have it marked, many at a time; at once where nothing is on its way. Raises DatabaseAway."""
        is_quiet = not self._window.on_their_way
        if is_quiet:
            self._marker.wait(_QUIET_S)
        if done := self._marker.advance(high=self._reader.high, at_once=is_quiet):
            self._reader.note_marked(done.ids, high=done.high, number=done.number)

    def close(self) -> None:
        """End the client and the sessions; what is not marked now will be sent again."""
        self._note(self._producer.end())
        self._marker.close()
        self._session.close()

    @property
    def _has_room(self) -> bool:
        records = len(self._window) + self._marker.count + self._at_once
        return records <= self._most and self._window.bytes < WINDOW_BYTES

    def _next(self) -> Pending | None:
        """The first of the queue; a topic that is paused leaves it."""
        while (record := self._window.next) and record.topic in self._pins.paused:
            self._reader.set_aside(record.topic, self._window.drop_topic(record.topic))
        return record

    def _may_send(self, record: Pending) -> bool:
        return self._is_fresh() and self._pins.may_send(record.topic) and self._window.may_join(record)

    def _give(self, record: Pending) -> None:
        try:
            self._producer.send(record)
            self._window.sent()
        except BrokersAway as error:
            self._take(self._producer.end_after(record, error))
        except (UnknownTopic, NotAuthorised) as error:
            self._refuse(self._window.heads(record.topic), error)  # all at once: there may be thousands
        except Permanent as error:
            self._refuse([record], error)

    def _take(self, collected: Collected) -> None:
        """Raises BrokersAway when the rest failed and no record is to blame."""
        self._note(collected)
        if collected.broken is None:
            return
        self._window.send_again()
        observe.record_producer_replaced(reason=str(collected.broken))
        for (topic, reason), records in collected.failures.items():
            observe.record_send_failed(topic=topic, reason=reason, records=records)
        match collected.refused:
            case []:
                raise BrokersAway(str(collected.broken))
            case [(record, error)]:
                self._hold_or_bury([record], error)
            case several:
                self._window.suspect([record for record, _ in several])

    def _note(self, collected: Collected) -> None:
        if collected.acknowledged:
            self._window.acknowledged(record for record, _ in collected.acknowledged)
            self._marker.owe(Mark(record.id, record.shard, *at) for record, at in collected.acknowledged)
            tell_published(collected.acknowledged)

    def _refuse(self, records: Sequence[Pending], error: Permanent) -> None:
        """The client took none of these, which are the first of their keys in the queue."""
        observe.record_send_failed(topic=records[0].topic, reason=type(error).__name__, records=len(records))
        self._hold_or_bury(records, error)

    def _hold_or_bury(self, records: Sequence[Pending], error: Permanent) -> None:
        told = f"{type(error).__name__}: {error}"
        if last := [record for record in records if record.attempts + 1 >= ATTEMPTS_MOST]:
            self._bury(last, told)
        if others := [record for record in records if record.attempts + 1 < ATTEMPTS_MOST]:
            self._hold_back(others, told)

    def _hold_back(self, records: Sequence[Pending], told: str) -> None:
        """Send nothing of their keys until the next attempt."""
        waits_s = {record.id: AFTER_REFUSAL.wait_s(record.attempts + 1) for record in records}
        dropped = self._window.drop_keys({record.order_key for record in records})
        self._reader.forget(_ids(dropped))
        # A key begins before the refused record where something of it was on its way, and may not have arrived.
        begins = firsts(dropped)
        for record in records:
            self._reader.hold_back(begins[record.order_key], wait_s=waits_s[record.id])
        store.postpone(self._session, waits_s, error=told)
        for record in records:
            observe.record_held_back(
                topic=record.topic, event_id=record.event_id, attempt=record.attempts + 1, wait_s=waits_s[record.id]
            )

    def _bury(self, records: Sequence[Pending], told: str) -> None:
        ids = _ids(records)
        store.bury(self._session, ids, error=told)
        self._window.drop(frozenset(ids))
        self._reader.forget(ids)
        for record in records:
            observe.record_record_dead(topic=record.topic, event_id=record.event_id, reason=told)


def _ids(records: Iterable[Pending]) -> list[int]:
    return [record.id for record in records]
