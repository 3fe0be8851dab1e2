"""The measure of all: a plain loop that keeps each record's event id once, with the client and the driver that we use.

`python -m benchmarks.consumer.reference BROKERS TOPIC DSN GROUP COUNT`, a process of its own: poll, one insert of the
batch into a table of the inbox's shape, commit; offsets about every second. Prints what it took, from the moment at
which the first records are there to the commit of the last.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import psycopg
from kafka import KafkaConsumer  # type: ignore[import-untyped]  # ships no types

from benchmarks.frame.figures import Taken

_BATCH = 500
_POLL_MS = 500
_COMMIT_EVERY_S = 1.0
_INSERT = """
insert into reference_inbox ("group", event_id)
select %s, event_id from unnest(%s::uuid[]) as received(event_id) on conflict do nothing
"""


def main(brokers: str, topic: str, dsn: str, group: str, count: str) -> None:
    """Read, and print."""
    reader = KafkaConsumer(
        topic, bootstrap_servers=brokers, api_version=(4, 0), group_id=group, enable_auto_commit=False,
        auto_offset_reset="earliest", max_poll_records=_BATCH,
    )  # fmt: skip
    with closing(reader), psycopg.connect(dsn) as session:
        print(_keep_all(reader, session, group=group, count=int(count)))


def _keep_all(reader: Any, session: psycopg.Connection, *, group: str, count: int) -> Taken:
    polled: Mapping[Any, Sequence[Any]] = {}
    while not polled:
        polled = reader.poll(timeout_ms=_POLL_MS)
    began, cpu_before = time.perf_counter(), time.process_time()
    commit_at = 0.0
    while True:
        ids = [dict(record.headers)["ce_id"].decode() for records in polled.values() for record in records]
        session.execute(_INSERT, [group, ids])
        session.commit()
        count -= len(ids)
        if not count:
            return Taken(time.perf_counter() - began, time.process_time() - cpu_before)
        if time.monotonic() >= commit_at:
            commit_at = time.monotonic() + _COMMIT_EVERY_S
            reader.commit()
        polled = reader.poll(timeout_ms=_POLL_MS)


if __name__ == "__main__":
    main(*sys.argv[1:])
