"""Single records at a steady rate, each in a transaction of its own, with the moment at which each was committed.

`in_django frame.writing WAY RATE SECONDS`, started by `writers`, prints one JSON object
{"n": when} once all are committed.

WAY `outbox`: publish() in the transaction. WAY `direct`: the same transaction without it, then the Kafka client's own
send: the floor, which nothing with an outbox can be under. Times are of the system's monotonic clock, in seconds.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from django.db import connection, transaction
from django.utils import timezone
from kafka import KafkaProducer  # type: ignore[import-untyped]  # ships no types
from uuid_utils.compat import uuid7

from benchmarks.frame.samples import Measured, sample
from events.conf import EventsSettings
from events.envelope import Stamp, seal
from events.outbox.publish import publish
from events.trace import new_traceparent

_PER_THREAD = 125  # a second: with more, a slow commit would hold up the next ones
_FIRST_AFTER_S = 0.5  # every thread has its session by then

Write = Callable[[int], float]


def main(arguments: list[str]) -> None:
    """Write, then print."""
    way, rate, seconds = arguments[0], int(arguments[1]), int(arguments[2])
    write = _publish if way == "outbox" else _direct(EventsSettings.current())
    json.dump(dict(_write_all(write, rate=rate, count=rate * seconds)), sys.stdout)


def _write_all(write: Write, *, rate: int, count: int) -> list[tuple[int, float]]:
    threads = math.ceil(rate / _PER_THREAD)
    first_at = time.monotonic() + _FIRST_AFTER_S

    def write_share(number: int) -> list[tuple[int, float]]:
        connection.ensure_connection()
        return [(n, _write_at(first_at + n / rate, write, n)) for n in range(number, count, threads)]

    with ThreadPoolExecutor(threads) as pool:
        return list(chain.from_iterable(pool.map(write_share, range(threads))))


def _write_at(when: float, write: Write, n: int) -> float:
    time.sleep(max(0.0, when - time.monotonic()))
    return write(n)


def _publish(n: int) -> float:
    committed: list[float] = []
    with transaction.atomic():
        # First of the callbacks, so that no later one's work is left out.
        transaction.on_commit(lambda: committed.append(time.monotonic()))
        publish(sample(n))
    return committed[0]


def _direct(settings: EventsSettings) -> Write:
    producer = KafkaProducer(
        bootstrap_servers=list(settings.brokers), api_version=(4, 0), acks="all", compression_type="snappy", linger_ms=0
    )
    topic = settings.topics[Measured.topic]
    producer.partitions_for(topic)

    def write(n: int) -> float:
        stamp = Stamp(id=uuid7(), source=settings.source, time=timezone.now(), traceparent=new_traceparent())
        envelope = seal(sample(n), topic=topic, stamp=stamp)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("insert into plain (value) values (%s)", [envelope.value])
        committed = time.monotonic()
        producer.send(envelope.topic, envelope.value, envelope.key.encode(), list(envelope.headers))
        return committed

    return write
