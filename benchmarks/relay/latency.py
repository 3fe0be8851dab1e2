"""The way of single records from commit to a plain consumer, in milliseconds, with the outbox and without.

Called by `run`: a process that writes (`writing`), where wanted a relay that is ready, and here the consumer alone.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import Any

from kafka import KafkaConsumer, TopicPartition  # type: ignore[import-untyped]  # ships no types

from benchmarks.relay.ground import TOPIC, Ground
from benchmarks.relay.relays import relays

OUTBOX, DIRECT = "outbox", "direct"
WAYS = {DIRECT: "direct send, no outbox", OUTBOX: "outbox and relay"}
_ARRIVED_WITHIN_S = 60.0


def latencies_ms(ground: Ground, way: str, *, rate: int, seconds: int) -> list[float]:
    """Of each record, the first ones included; `rate` records a second. Raises TimeoutError where some never come."""
    carrier = relays(ground, processes=1) if way == OUTBOX else nullcontext()
    with carrier, _reading_from_now(ground) as reader, _writing(ground, way, rate, seconds) as writer:
        arrived = _arrivals(reader, count=rate * seconds, within_s=seconds + _ARRIVED_WITHIN_S)
        told, _ = writer.communicate()
    return [(arrived[int(n)] - committed) * 1000 for n, committed in json.loads(told).items()]


@contextmanager
def _reading_from_now(ground: Ground) -> Iterator[Any]:
    reader = KafkaConsumer(bootstrap_servers=ground.brokers, api_version=(4, 0))
    with closing(reader):
        reader.assign([TopicPartition(TOPIC, number) for number in reader.partitions_for_topic(TOPIC)])
        reader.seek_to_end()
        reader.poll(timeout_ms=200)  # connects and finds the positions before anything is written
        yield reader


@contextmanager
def _writing(ground: Ground, way: str, rate: int, seconds: int) -> Iterator[subprocess.Popen[str]]:
    arguments = ("writing", way, str(rate), str(seconds))
    writer = ground.start("-m", "benchmarks.relay.in_django", *arguments, stdout=subprocess.PIPE)
    try:
        yield writer
    finally:
        writer.kill()
        writer.wait()


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
