"""Sending: `outbox.producer` supervises one `Producer` after the other."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from kafka import KafkaProducer  # type: ignore[import-untyped]  # ships no types
from kafka import errors as theirs

from events.conf import EventsSettings
from events.errors import EventsError
from events.kafka._connection import connection
from events.kafka._errors import NotAuthorised, UnknownTopic, our_error_of_one
from events.kafka._places import Places

_END_WITHIN_S = 3.0
_REQUEST_BYTES_LEAST = 1_048_576  # the client's own limit of one record, which publish() stays below
_FAST_BYTES_MOST = 65_536
_HELD_MS = 1_000  # far more than it takes to queue what was read together


class Acknowledged(NamedTuple):
    """Where a record came to lie, once all replicas that must have it do."""

    partition: int
    offset: int


class Message(Protocol):
    """What a record is made of."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def headers(self) -> Iterable[tuple[str, bytes]]: ...
    @property
    def value(self) -> bytes: ...


Sent = TypeVar("Sent", bound=Message)


class Producer(Generic[Sent]):
    """Sends records in the order given, per partition. The first failure ends it for good: make a new one.

    A failed send means "unknown", not "not written". What was given later to the same partition is never written
    behind a gap: on the failure the client's own thread stops before it takes another batch.
    """

    def __init__(self, settings: EventsSettings) -> None:
        self._client = KafkaProducer(
            **connection(settings),
            acks="all",
            enable_idempotence=settings.producer_idempotent,
            # Without idempotence more than one at a time would let a later batch pass an earlier one.
            max_in_flight_requests_per_connection=5 if settings.producer_idempotent else 1,
            compression_type=None if settings.producer_compression == "none" else settings.producer_compression,
            retries=settings.producer_retries,
            retry_backoff_ms=settings.producer_retry_backoff_ms,
            batch_size=settings.producer_batch_bytes,
            max_request_size=max(settings.producer_batch_bytes, _REQUEST_BYTES_LEAST),
            linger_ms=settings.producer_linger_ms,
            delivery_timeout_ms=settings.producer_delivery_timeout_ms,
            request_timeout_ms=_request_timeout_ms(settings),
            max_block_ms=3_000,
        )
        self._batch_messages, self._linger_ms = settings.producer_batch_messages, settings.producer_linger_ms
        self._held = 0  # given, and the client not told to send at once
        self._unsettled = 0
        self._on_their_way: dict[Any, deque[tuple[Sent, Any, float]]] = {}  # by partition: message, future, since
        self._places = Places(self._client._metadata)  # noqa: SLF001 - as is said there
        self._progress = threading.Event()  # something was settled
        self.has_failed = False

    def prepare(self, topics: Iterable[str]) -> None:
        """Ask for these topics and connect to their brokers now, so that the first record need not wait for it.

        Raises BrokersAway. A topic that is not there raises at its first record.
        """
        for topic in topics:
            with contextlib.suppress(UnknownTopic, NotAuthorised):
                self._places.find(topic)

    def send(self, message: Sent, *, partitions: int | None = None) -> None:
        """Queue one record, in the partition of its key among so many (None: as many as the topic has).

        It is held until `let_go`, so that records given together leave together.
        Raises BrokersAway (this producer is of no more use), UnknownTopic, NotAuthorised, BrokerRefuses (it is).
        """
        key = message.key.encode()
        place = self._places.place(message.topic, key, partitions=partitions)
        self._linger(_HELD_MS)
        try:
            future = self._append(place, key, message)
        except theirs.KafkaError as error:
            raise our_error_of_one(error) from error
        future.add_errback(self._fail)
        queue = self._on_their_way.get(place)
        if queue is None:
            queue = self._on_their_way[place] = deque()
        queue.append((message, future, time.monotonic()))
        self._held += 1
        self._unsettled += 1

    def let_go(self) -> None:
        """Have what is held sent: now where it is enough, or nothing else is on its way (as in RFC 896); or soon.

        Call it again while something is on its way.
        """
        if not self._held:
            return
        if self._held >= min(self._batch_messages, self._unsettled):
            self._held = 0
        self._linger(self._linger_ms if self._held else 0)
        self._client._sender.wakeup()  # noqa: SLF001 - as below

    def settled(self, *, wait_s: float) -> Iterator[tuple[Sent, Acknowledged | EventsError]]:
        """What became of records since the last time, waiting so long for the first."""
        self._places.forget()
        if wait_s and not any(queue[0][1].is_done for queue in self._on_their_way.values() if queue):
            self._progress.wait(wait_s)
        self._progress.clear()
        for place, queue in self._on_their_way.items():
            while queue and queue[0][1].is_done:
                message, future, _ = queue.popleft()
                self._unsettled -= 1
                yield message, _outcome(place.partition, future)

    @property
    def oldest(self) -> tuple[float, str] | None:
        """Since when (monotonic) the oldest record is on its way, and for which topic."""
        heads = ((queue[0][2], place.topic) for place, queue in self._on_their_way.items() if queue)
        return min(heads, default=None)

    def close_now(self) -> None:
        """End it without sending what is queued; what is not settled yet fails. Again does no harm."""
        sender = self._client._sender  # noqa: SLF001 - its own close() blocks, or gives up, on a producer that is stuck
        sender.force_close()
        sender.join(_END_WITHIN_S)
        if not sender.is_alive():
            self._client.close(timeout=0)

    def _append(self, place: Any, key: bytes, message: Sent) -> Any:
        """Half of what the client's send() costs are checks that publish() made: past them, straight to its queue."""
        value, headers = message.value, list(message.headers)
        if len(value) > _FAST_BYTES_MOST:
            return self._send_checked(place, key, value, headers)
        future, _, is_new, _ = self._client._accumulator.append(place, None, key, value, headers)  # noqa: SLF001 - as said
        if is_new:
            future.add_callback(self._note_progress)
        return future

    def _send_checked(self, place: Any, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> Any:
        """With the client's own limit of size."""
        future = self._client.send(place.topic, value, key, headers, partition=place.partition)
        return future.add_callback(self._note_progress)

    def _linger(self, milliseconds: int) -> None:
        # The client looks it up each time. By its own clock alone a record that comes by itself would wait for company,
        # and of those that come together the first would leave before the last is queued.
        self._client._accumulator.config["linger_ms"] = milliseconds  # noqa: SLF001 - as said

    def _note_progress(self, _: object) -> None:
        # Runs on the client's thread, for the first record of each batch: those behind it are settled in the same go.
        self._progress.set()

    def _fail(self, _: object) -> None:
        # Here and now: back in its loop the client would send the partition's next batch under a new epoch.
        self._client._sender.force_close()  # noqa: SLF001 - as in close_now()
        self.has_failed = True
        self._places.end()
        self._progress.set()


def _outcome(partition: int, future: Any) -> Acknowledged | EventsError:
    if future.exception is not None:
        return our_error_of_one(future.exception)
    return Acknowledged(partition, future.value.offset)


def _request_timeout_ms(settings: EventsSettings) -> int:
    # Room for a second request within the delivery timeout, as the client demands.
    return min(5_000, (settings.producer_delivery_timeout_ms - settings.producer_linger_ms) // 2)
