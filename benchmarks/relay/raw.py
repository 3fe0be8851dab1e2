"""The measure of all: the Kafka client alone, sending the very records that our relay sends.

`python -m benchmarks.relay.raw BROKERS TOPIC SAMPLES TIMES`, a process of its own: reads the samples from the topic
as they were relayed, keys, headers and all, then sends them so many times over; prints what it took. Connecting and
looking up the topic happen before. Settings are those of the relay's own client.
"""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition  # type: ignore[import-untyped]  # ships no types

from benchmarks.frame.figures import Taken

_SETTINGS = {
    "api_version": (4, 0), "acks": "all", "enable_idempotence": True, "compression_type": "snappy", "linger_ms": 5,
    "batch_size": 1_000_000, "max_request_size": 1_048_576,
}  # fmt: skip

Record = tuple[bytes, bytes, list[tuple[str, bytes]]]


def main(brokers: str, topic: str, samples: str, times: str) -> None:
    """Send, and print what it took."""
    records = relayed(brokers, topic, int(samples))
    with closing(KafkaProducer(bootstrap_servers=brokers, **_SETTINGS)) as producer:
        producer.partitions_for(topic)
        print(_send(producer, topic, records, int(times)))


def relayed(brokers: str, topic: str, count: int) -> Sequence[Record]:
    """The first `count` records of the topic in the order in which they were published."""
    with closing(KafkaConsumer(bootstrap_servers=brokers, api_version=(4, 0))) as reader:
        reader.assign([TopicPartition(topic, number) for number in reader.partitions_for_topic(topic)])
        reader.seek_to_beginning()
        found: dict[int, Any] = {}
        while len(found) < count:
            for records in reader.poll(timeout_ms=1000).values():
                found |= {json.loads(record.value)["n"]: record for record in records}
    in_order = (found[n] for n in range(count))
    return [(record.key, record.value, list(record.headers)) for record in in_order]


def _send(producer: Any, topic: str, records: Sequence[Record], times: int) -> Taken:
    futures = []
    began, cpu_before = time.perf_counter(), time.process_time()
    for _ in range(times):
        futures += [producer.send(topic, value, key, headers) for key, value, headers in records]
    producer.flush()
    taken = Taken(time.perf_counter() - began, time.process_time() - cpu_before)
    if not all(future.succeeded() for future in futures):
        raise SystemExit("not every record was acknowledged")
    return taken


if __name__ == "__main__":
    main(*sys.argv[1:])
