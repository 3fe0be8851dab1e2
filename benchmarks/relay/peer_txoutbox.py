"""txoutbox with aiokafka, as its own README joins them, with settings that suit a backlog. Started by `peers`.

`python -m benchmarks.relay.peer_txoutbox DSN BROKERS TOPIC SAMPLES TIMES` fills its table with the samples as our
relay sent them, lets it drain in one process, and prints what it took from its first claim to its last mark.
"""

import asyncio
import json
import sys
import time

import asyncpg  # type: ignore[import-not-found]  # no dependency: measured where it is installed
from aiokafka import AIOKafkaProducer  # type: ignore[import-not-found]  # as above
from txoutbox import OutboxMessage, Relay, RelayConfig  # type: ignore[import-not-found]  # as above
from txoutbox.adapters.postgres import PostgresStorage  # type: ignore[import-not-found]  # as above

from benchmarks.frame.figures import Taken
from benchmarks.relay.raw import Record, relayed

_COLUMNS = ("topic", "key", "payload", "headers")
# The best of those tried; its defaults and the client's reach less than half of it.
_CONFIG = RelayConfig(batch_size=2_000, concurrency=2_000)
_SETTINGS = {
    "acks": "all", "enable_idempotence": True, "compression_type": "snappy", "linger_ms": 5, "max_batch_size": 262_144,
}  # fmt: skip


async def main(dsn: str, brokers: str, topic: str, samples: str, times: str) -> None:
    """Drain, and print what it took."""
    records = relayed(brokers, topic, int(samples))
    async with asyncpg.create_pool(dsn, min_size=2, max_size=4) as pool:
        storage = PostgresStorage(pool)
        await storage.create_schema()
        await _fill(pool, [_row(topic, record) for record in records] * int(times))
        async with AIOKafkaProducer(bootstrap_servers=brokers, **_SETTINGS) as producer:
            await producer.partitions_for(topic)
            print(await _drain(storage, producer))


def _row(topic: str, record: Record) -> tuple[str, str, bytes, str]:
    key, value, headers = record
    return topic, key.decode(), value, json.dumps({name: text.decode() for name, text in headers})


async def _fill(pool: asyncpg.Pool, rows: list[tuple[str, str, bytes, str]]) -> None:
    await pool.execute("truncate outbox")
    async with pool.acquire() as session:
        await session.copy_records_to_table("outbox", records=rows, columns=_COLUMNS)
        await session.execute("vacuum analyze outbox")
        await session.execute("checkpoint")


async def _drain(storage: PostgresStorage, producer: AIOKafkaProducer) -> Taken:
    async def publish(message: OutboxMessage) -> None:
        headers = [(name, text.encode()) for name, text in message.headers.items()]
        await producer.send_and_wait(message.topic, message.payload, key=message.key.encode(), headers=headers)

    relay = Relay(storage, publish, config=_CONFIG)
    began, cpu_before = time.perf_counter(), time.process_time()
    while (await relay.run_once()).claimed:
        pass
    return Taken(time.perf_counter() - began, time.process_time() - cpu_before)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
