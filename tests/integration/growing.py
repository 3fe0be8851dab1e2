"""What a growing topic meets in tests: a load, a plain member of the group, and the command as a process.

The member judges and knows nothing of ours: it reads with the Kafka client alone.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from itertools import count
from typing import Any

from django.db import connections
from kafka import KafkaConsumer  # type: ignore[import-untyped]  # ships no types
from kafka.errors import CommitFailedError, RebalanceInProgressError  # type: ignore[import-untyped]  # as above

from events.conf import EventsSettings
from tests.integration.relaying import CHECKOUT, Noted, commit, database_url
from tests.waiting import LIMIT_S

KEYS = 12


class Prompting(StringIO):
    """Acts when a line begins so."""

    def __init__(self, line: str, act: Callable[[], object]) -> None:
        super().__init__()
        self._line, self._act = line, act

    def write(self, text: str) -> int:
        if text.startswith(self._line):
            self._act()
        return super().write(text)


@dataclass(frozen=True, slots=True)
class Read:
    """One record as the group's member came to it."""

    key: str
    n: int
    partition: int


class Member:
    """Reads and commits, and looks for new partitions often. It can be slow, or stand still."""

    def __init__(self, topic: str) -> None:
        configured = EventsSettings.current()
        self._consumer = KafkaConsumer(
            topic, bootstrap_servers=list(configured.brokers), group_id=configured.group, api_version=(4, 0),
            auto_offset_reset="earliest", enable_auto_commit=False, metadata_max_age_ms=300, max_poll_records=10,
            max_partition_fetch_bytes=4_000,
        )  # fmt: skip
        self.rest_s = 0.0
        self.may_read = threading.Event()
        self.may_read.set()
        self.has_read: list[Read] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="member")

    def _run(self) -> None:
        while self.may_read.wait(LIMIT_S) and not self._is_over.wait(self.rest_s):
            # Longer than a join takes: of an answer that comes between two polls the client never hears, nor of new
            # partitions that were the reason for it.
            polled = self._consumer.poll(timeout_ms=2_000)
            for record in (record for records in polled.values() for record in records):
                n = Noted.from_json(record.value).n
                self.has_read.append(Read(record.key.decode(), n, record.partition))
            if polled:
                # In a rebalance nothing can be committed; what was read comes again after it.
                with suppress(RebalanceInProgressError, CommitFailedError):
                    self._consumer.commit(timeout_ms=5_000)
        self._consumer.close(timeout_ms=3_000)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()
        self.may_read.set()
        self._thread.join(LIMIT_S)

    def first_arrivals(self) -> dict[str, list[int]]:
        arrivals: dict[str, list[int]] = {}
        for read in self.has_read:
            ns = arrivals.setdefault(read.key, [])
            if read.n not in ns:
                ns.append(read.n)
        return arrivals


@contextmanager
def member(topic: str) -> Iterator[Member]:
    reader = Member(topic)
    reader.start()
    try:
        yield reader
    finally:
        reader.end()


@contextmanager
def load() -> Iterator[Callable[[], int]]:
    """One fact of every key, again and again; gives how many facts each key has when it has ended."""
    is_over, rounds = threading.Event(), count(1)
    written = [0]

    def write() -> None:
        while not is_over.wait(0.04):
            written[0] = next(rounds)
            commit(*(Noted(of=f"user-{key}", n=written[0]) for key in range(KEYS)))
        connections.close_all()

    thread = threading.Thread(target=write, name="load")
    thread.start()
    try:
        yield lambda: written[0]
    finally:
        is_over.set()
        thread.join(LIMIT_S)


@contextmanager
def grow_process(*words: str) -> Iterator[subprocess.Popen[str]]:
    """`manage.py kafka topics grow …` as a process of its own on the tests' database and topics."""
    configured = EventsSettings.current()
    ours: dict[str, Any] = {f"KAFKA_TOPIC_{key.upper()}": name for key, name in configured.topics.items()}
    ours |= {"DATABASE_URL": database_url(), "KAFKA_GROUP_ID": configured.group, "DEBUG": "on"}
    ours |= {"KAFKA_PRODUCER_DELIVERY_TIMEOUT_MS": str(configured.producer_delivery_timeout_ms)}
    with subprocess.Popen(
        [sys.executable, "manage.py", "kafka", "topics", "grow", *words],
        cwd=CHECKOUT, env=os.environ | ours, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        yield running
        running.kill()
