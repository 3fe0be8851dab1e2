"""The way of single records from commit to a plain consumer, in milliseconds, with the outbox and without.

Called by `bench`: a process that writes, where wanted a relay that is ready, and here the consumer alone.
"""

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition  # type: ignore[import-untyped]  # ships no types

from benchmarks.frame.ground import Ground
from benchmarks.frame.writers import carrier, committed, writing

_ARRIVED_WITHIN_S = 60.0


def latencies_ms(ground: Ground, way: str, *, rate: int, seconds: int) -> list[float]:
    """Of each record, the first ones included; `rate` records a second. Raises TimeoutError where some never come."""
    with (
        carrier(ground, way),
        _reading_from_now(ground) as reader,
        writing(ground, way, rate=rate, seconds=seconds) as writer,
    ):
        arrived = _arrivals(reader, count=rate * seconds, within_s=seconds + _ARRIVED_WITHIN_S)
        return [(arrived[n] - at) * 1000 for n, at in committed(writer).items()]


@contextmanager
def _reading_from_now(ground: Ground) -> Iterator[Any]:
    reader = KafkaConsumer(bootstrap_servers=ground.brokers, api_version=(4, 0))
    with closing(reader):
        reader.assign([TopicPartition(ground.topic, number) for number in reader.partitions_for_topic(ground.topic)])
        reader.seek_to_end()
        reader.poll(timeout_ms=200)  # connects and finds the positions before anything is written
        yield reader


def _arrivals(reader: Any, *, count: int, within_s: float) -> dict[int, float]:
    """When each record arrived first."""
    arrived: dict[int, float] = {}
    deadline = time.monotonic() + within_s
    while len(arrived) < count:
        polled = reader.poll(timeout_ms=1000)
        now = time.monotonic()
        for records in polled.values():
            for record in records:
                arrived.setdefault(json.loads(record.value)["n"], now)
        if now > deadline:
            raise TimeoutError(f"{len(arrived)} of {count} records within {within_s:.0f} s")
    return arrived
