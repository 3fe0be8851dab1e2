"""The supervised producer: sends, notices what failed or is overdue, and puts a new client in the place of the old.

`relay` gives it records in order and collects what became of them. After a failure everything that was on its way
is either acknowledged, refused or unknown; what is unknown is still pending in the outbox and is sent again.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue

from events.conf import EventsSettings
from events.errors import EventsError, Permanent
from events.kafka import Acknowledged, BrokersAway, NotAuthorised, Producer, UnknownTopic
from events.outbox.store import Pending

_OVERDUE_MARGIN_S = 5.0
_STALLED_AFTER_S = 5.0
_ASK_AGAIN_AFTER_S = 1.0

Settlements = SimpleQueue[tuple[Pending, Acknowledged | EventsError]]


@dataclass(slots=True)
class Collected:
    """What became of records since the last time. `broken` says why the client was ended, where it was."""

    acknowledged: list[tuple[Pending, Acknowledged]] = field(default_factory=list)
    refused: list[tuple[Pending, Permanent]] = field(default_factory=list)
    broken: EventsError | None = None


class SupervisedProducer:
    """One client after the other; the next one is made by the next send."""

    def __init__(self, settings: EventsSettings) -> None:
        self._settings = settings
        self._overdue_after_s = settings.producer_delivery_timeout_ms / 1000 + _OVERDUE_MARGIN_S
        self._client: Producer | None = None
        self._settlements: Settlements = SimpleQueue()
        self._sent_at: dict[int, float] = {}
        self._refused_topics: dict[str, tuple[float, Permanent]] = {}

    @property
    def in_flight(self) -> int:
        """How many records are on their way."""
        return len(self._sent_at)

    @property
    def is_stalled(self) -> bool:
        """Whether the oldest of them has been so for 5 s."""
        return self._oldest_s() > _STALLED_AFTER_S

    def send(self, record: Pending) -> None:
        """Give one record to the client.

        Raises UnknownTopic and NotAuthorised: not sent, the others go on. Raises BrokersAway: `end` this one.
        """
        self._refuse_again(record.envelope.topic)
        if self._client is None:
            self._client = Producer(self._settings)
        settled = partial(_settle, self._settlements, record)
        try:
            self._client.send(record.envelope, settled=settled)
        except (UnknownTopic, NotAuthorised) as error:
            self._refused_topics[record.envelope.topic] = (time.monotonic() + _ASK_AGAIN_AFTER_S, error)
            raise
        self._sent_at[record.id] = time.monotonic()

    def collect(self, *, wait_s: float) -> Collected:
        """What was settled, waiting so long for the first; after a failure the client is ended."""
        collected = self._sort(self._take(wait_s))
        if collected.broken is None and self._oldest_s() > self._overdue_after_s:
            collected.broken = BrokersAway("overdue")
        if collected.broken is not None:
            at_the_end = self.end()
            collected.acknowledged += at_the_end.acknowledged
            collected.refused += at_the_end.refused
        return collected

    def end(self) -> Collected:
        """End the client for good; what is not settled now is unknown."""
        if self._client is not None:
            self._client.close_now()
        collected = self._sort(self._take(0))
        # A client that does not end in time may still settle something: into a queue that nobody reads.
        self._client, self._settlements, self._sent_at = None, SimpleQueue(), {}
        return collected

    def _refuse_again(self, topic: str) -> None:
        """Each question about a topic that is not there costs 0.1 s: do not ask for every record."""
        until, error = self._refused_topics.get(topic, (0.0, None))
        if error is not None and time.monotonic() < until:
            raise error

    def _oldest_s(self) -> float:
        return time.monotonic() - next(iter(self._sent_at.values())) if self._sent_at else 0.0

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
            self._sent_at.pop(record.id, None)
            if isinstance(outcome, Acknowledged):
                collected.acknowledged.append((record, outcome))
                continue
            collected.broken = collected.broken or outcome
            if isinstance(outcome, Permanent):
                collected.refused.append((record, outcome))
        return collected


def _settle(settlements: Settlements, record: Pending, outcome: Acknowledged | EventsError) -> None:
    """Runs on the client's thread."""
    settlements.put((record, outcome))
