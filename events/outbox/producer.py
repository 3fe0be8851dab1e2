"""The supervised producer: sends, notices what failed or is overdue, and puts a new client in the place of the old.

`relay` gives it records in order and collects what became of them. After a failure everything that was on its way
is either acknowledged, refused or unknown; what is unknown is still pending in the outbox and is sent again.
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Self

from events.conf import EventsSettings
from events.errors import EventsError, Permanent
from events.kafka import Acknowledged, BrokersAway, Ended, NotAuthorised, Producer, UnknownTopic
from events.outbox.store import Pending

_OVERDUE_MARGIN_S = 5.0
_STALLED_AFTER_S = 3.0
_ASK_AGAIN_AFTER_S = 1.0

Settlements = SimpleQueue[tuple[Pending, Acknowledged | EventsError]]


@dataclass(slots=True)
class Collected:
    """What became of records since the last time. `broken` says why the client was ended, where it was."""

    acknowledged: list[tuple[Pending, Acknowledged]] = field(default_factory=list)
    refused: list[tuple[Pending, Permanent]] = field(default_factory=list)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)  # by topic and class of the error
    broken: EventsError | None = None

    def add_failure(self, topic: str, error: EventsError) -> None:
        """The first one says why the client was ended; what it took along says nothing."""
        if not isinstance(error, Ended):
            self.failures[topic, type(error).__name__] += 1
        if self.broken is None or isinstance(self.broken, Ended):
            self.broken = error

    def add(self, later: Self) -> None:
        """What became of the rest."""
        self.acknowledged += later.acknowledged
        self.refused += later.refused
        self.failures += later.failures


class SupervisedProducer:
    """One client after the other; the next one is made by the next send."""

    def __init__(self, settings: EventsSettings) -> None:
        self._settings = settings
        self._overdue_after_s = settings.producer_delivery_timeout_ms / 1000 + _OVERDUE_MARGIN_S
        self._client: Producer | None = None
        self._settlements: Settlements = SimpleQueue()
        self._on_its_way: dict[int, tuple[float, str]] = {}  # since when, and for which topic; the oldest first
        self._refused_topics: dict[str, tuple[float, Permanent]] = {}

    @property
    def in_flight(self) -> int:
        """How many records are on their way."""
        return len(self._on_its_way)

    @property
    def is_stalled(self) -> bool:
        """Whether the oldest of them has been so for 3 s."""
        return self._overdue_topic(_STALLED_AFTER_S) is not None

    def send(self, record: Pending) -> None:
        """Give one record to the client.

        Raises Permanent: not sent, the others go on. Raises BrokersAway: call `end_after`.
        """
        self._refuse_again(record.envelope.topic)
        if self._client is None:
            self._client = Producer(self._settings)
        settled = partial(_settle, self._settlements, record)
        try:
            self._client.send(record.envelope, settled=settled)
        except Permanent as error:
            self._remember(record.envelope.topic, error)
            raise
        self._on_its_way[record.id] = (time.monotonic(), record.envelope.topic)

    def collect(self, *, wait_s: float) -> Collected:
        """What was settled, waiting so long for the first; after a failure the client is ended."""
        collected = self._sort(self._take(wait_s))
        if topic := self._overdue_topic(self._overdue_after_s):
            collected.add_failure(topic, BrokersAway("overdue"))
        if collected.broken is not None:
            collected.add(self.end())
        return collected

    def end(self) -> Collected:
        """End the client for good; what is not settled now is unknown."""
        if self._client is not None:
            self._client.close_now()
        collected = self._sort(self._take(0))
        # A client that does not end in time may still settle something: into a queue that nobody reads.
        self._client, self._settlements, self._on_its_way = None, SimpleQueue(), {}
        return collected

    def end_after(self, record: Pending, error: BrokersAway) -> Collected:
        """The same when `send` raised it."""
        collected = self.end()
        collected.add_failure(record.envelope.topic, error)
        return collected

    def _remember(self, topic: str, error: Permanent) -> None:
        if isinstance(error, UnknownTopic | NotAuthorised):
            self._refused_topics[topic] = (time.monotonic() + _ASK_AGAIN_AFTER_S, error)

    def _refuse_again(self, topic: str) -> None:
        """A topic that is missing or forbidden costs 0.1 s, or even the client: do not try it for every record."""
        until, error = self._refused_topics.get(topic, (0.0, None))
        if error is not None and time.monotonic() < until:
            raise error

    def _overdue_topic(self, after_s: float) -> str | None:
        """The topic of the oldest record on its way, if it has been so for that long."""
        since, topic = next(iter(self._on_its_way.values()), (time.monotonic(), ""))
        return topic if time.monotonic() - since > after_s else None

    def _take(self, wait_s: float) -> Iterable[tuple[Pending, Acknowledged | EventsError]]:
        try:
            yield self._settlements.get(timeout=wait_s) if wait_s else self._settlements.get_nowait()
            while True:
                yield self._settlements.get_nowait()
        except Empty:
            return

    def _sort(self, settled: Iterable[tuple[Pending, Acknowledged | EventsError]]) -> Collected:
        collected = Collected()
        for record, outcome in settled:
            self._on_its_way.pop(record.id, None)
            if isinstance(outcome, Acknowledged):
                collected.acknowledged.append((record, outcome))
                continue
            collected.add_failure(record.envelope.topic, outcome)
            if isinstance(outcome, Permanent):
                collected.refused.append((record, outcome))
                self._remember(record.envelope.topic, outcome)
        return collected


def _settle(settlements: Settlements, record: Pending, outcome: Acknowledged | EventsError) -> None:
    """Runs on the client's thread."""
    settlements.put((record, outcome))
