"""The supervised producer: sends, notices what failed or is overdue, and puts a new client in the place of the old.

`pipeline` gives it records in order and collects what became of them. After a failure everything that was on its way
is either acknowledged, refused or unknown; what is unknown is still pending in the outbox and is sent again.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

from events.conf import EventsSettings
from events.errors import EventsError, Permanent
from events.kafka import Acknowledged, BrokersAway, Ended, NotAuthorised, Producer, UnknownTopic
from events.outbox.store import Pending

_OVERDUE_MARGIN_S = 5.0
_STALLED_AFTER_S = 3.0
_ASK_AGAIN_AFTER_S = 1.0


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
    """One client after the other; the next one is made by the next send. `partitions` gives a topic's pinned count."""

    def __init__(self, settings: EventsSettings, *, partitions: Callable[[str], int | None]) -> None:
        self._settings = settings
        self._partitions = partitions
        self._overdue_after_s = settings.producer_delivery_timeout_ms / 1000 + _OVERDUE_MARGIN_S
        self._client: Producer[Pending] | None = None
        self._refused_topics: dict[str, tuple[float, Permanent]] = {}

    @property
    def is_stalled(self) -> bool:
        """Whether the oldest record on its way has been so for 3 s."""
        return self._overdue_topic(_STALLED_AFTER_S) is not None

    def prepare(self) -> None:
        """Connect before the first record. Raises BrokersAway."""
        self._get().prepare(self._settings.topics.values())

    def send(self, record: Pending) -> None:
        """Give one record to the client.

        Raises Permanent: not sent, the others go on. Raises BrokersAway: call `end_after`.
        """
        if self._refused_topics:
            self._refuse_again(record.topic)
        client = self._get()
        if client.has_failed:
            raise Ended("a record before this one failed")
        try:
            client.send(record, partitions=self._partitions(record.topic))
        except Permanent as error:
            self._remember(record.topic, error)
            raise

    def let_go(self) -> None:
        """Have what was given leave, all together."""
        if self._client is not None:
            self._client.let_go()

    def collect(self, *, wait_s: float) -> Collected:
        """What was settled, waiting so long for the first; after a failure the client is ended."""
        if self._client is None:
            return Collected()
        collected = self._sort(self._client.settled(wait_s=wait_s))
        if topic := self._overdue_topic(self._overdue_after_s):
            collected.add_failure(topic, BrokersAway("overdue"))
        if collected.broken is not None:
            collected.add(self.end())
        return collected

    def end(self) -> Collected:
        """End the client for good; what is not settled now is unknown."""
        client, self._client = self._client, None
        if client is None:
            return Collected()
        client.close_now()
        return self._sort(client.settled(wait_s=0))

    def end_after(self, record: Pending, error: BrokersAway) -> Collected:
        """The same when `send` raised it."""
        collected = self.end()
        collected.add_failure(record.topic, error)
        return collected

    def _get(self) -> Producer[Pending]:
        if self._client is None:
            self._client = Producer(self._settings)
        return self._client

    def _remember(self, topic: str, error: Permanent) -> None:
        if isinstance(error, UnknownTopic | NotAuthorised):
            self._refused_topics[topic] = (time.monotonic() + _ASK_AGAIN_AFTER_S, error)

    def _refuse_again(self, topic: str) -> None:
        """A topic that is missing or forbidden costs 0.1 s, or even the client: do not try it for every record."""
        until, error = self._refused_topics.get(topic, (0.0, None))
        if error is not None and time.monotonic() < until:
            raise error
        self._refused_topics.pop(topic, None)

    def _overdue_topic(self, after_s: float) -> str | None:
        """The topic of the oldest record on its way, if it has been so for that long."""
        oldest = self._client.oldest if self._client else None
        return oldest[1] if oldest and time.monotonic() - oldest[0] > after_s else None

    def _sort(self, settled: Iterable[tuple[Pending, Acknowledged | EventsError]]) -> Collected:
        collected = Collected()
        for record, outcome in settled:
            if isinstance(outcome, Acknowledged):
                collected.acknowledged.append((record, outcome))
                continue
            collected.add_failure(record.topic, outcome)
            if isinstance(outcome, Permanent):
                collected.refused.append((record, outcome))
                self._remember(record.topic, outcome)
        return collected
