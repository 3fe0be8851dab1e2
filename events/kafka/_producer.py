"""Sending: `outbox.producer` supervises one `Producer` after the other."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer  # type: ignore[import-untyped]  # ships no types
from kafka import errors as theirs

from events.conf import EventsSettings
from events.envelope import Envelope
from events.errors import EventsError
from events.kafka._connection import connection
from events.kafka._errors import BrokersAway, Ended, NotAuthorised, UnknownTopic, our_error_of_one

_END_WITHIN_S = 3.0
_TOPIC_WITHIN_S = 1.0
_REQUEST_BYTES_LEAST = 1_048_576  # the client's own limit of one record, which publish() stays below


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Where a record came to lie, once all replicas that must have it do."""

    partition: int
    offset: int


Settled = Callable[[Acknowledged | EventsError], None]


class Producer:
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
        self._is_ended = False
        self._changed = threading.Event()  # the cluster answered a question, or this producer has ended

    def send(self, envelope: Envelope, *, settled: Settled) -> None:
        """Queue one record; `settled` is called once, on the client's thread, unless the client hangs.

        Raises BrokersAway (this producer is of no more use), UnknownTopic, NotAuthorised, BrokerRefuses (it is).
        """
        self._find(envelope.topic)
        key, headers = envelope.key.encode(), list(envelope.headers)
        try:
            future = self._client.send(envelope.topic, envelope.value, key, headers)
        except theirs.KafkaError as error:
            raise our_error_of_one(error) from error
        future.add_callback(lambda told: settled(Acknowledged(told.partition, told.offset)))
        future.add_errback(self._fail, settled)

    def close_now(self) -> None:
        """End it without sending what is queued; what is not settled yet fails. Again does no harm."""
        sender = self._client._sender  # noqa: SLF001 - its own close() blocks, or gives up, on a producer that is stuck
        sender.force_close()
        sender.join(_END_WITHIN_S)
        if not sender.is_alive():
            self._client.close(timeout=0)

    def _fail(self, settled: Settled, error: Exception) -> None:
        # Here and now: back in its loop the client would send the partition's next batch under a new epoch.
        self._client._sender.force_close()  # noqa: SLF001 - as in close_now()
        self._is_ended = True
        self._changed.set()
        settled(our_error_of_one(error))

    def _find(self, topic: str) -> None:
        """See that the topic is there, within 1 s; the client would take 3 s for each record of one that is not."""
        cluster = self._client._metadata  # noqa: SLF001 - the public way there blocks for 3 s
        if cluster.partitions_for_topic(topic) is not None:
            return
        with contextlib.suppress(ValueError):  # a name that no topic can have
            cluster.add_topic(topic)
        # Twice: the first answer may be that to a question asked before the topic was added.
        for _ in range(2):
            self._ask(cluster)
            if cluster.partitions_for_topic(topic) is not None:
                return
        raise NotAuthorised(topic) if topic in cluster.unauthorized_topics else UnknownTopic(topic)

    def _ask(self, cluster: Any) -> None:
        self._changed.clear()
        answer = cluster.request_update()
        answer.add_both(lambda _: self._changed.set())
        has_changed = not self._is_ended and self._changed.wait(_TOPIC_WITHIN_S)
        if self._is_ended:
            raise Ended("while asking for a topic")
        # An error that a broker sent is an answer, too.
        if not has_changed or not (answer.succeeded() or isinstance(answer.exception, theirs.BrokerResponseError)):
            raise BrokersAway("no metadata")


def _request_timeout_ms(settings: EventsSettings) -> int:
    # Room for a second request within the delivery timeout, as the client demands.
    return min(5_000, (settings.producer_delivery_timeout_ms - settings.producer_linger_ms) // 2)
