"""A relay under test, facts for it to carry, and a plain consumer that judges what arrived.

The judge owns nothing of ours: it reads whole topics with the Kafka client alone.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from django.db import connection, connections, transaction
from kafka import KafkaConsumer, TopicPartition  # type: ignore[import-untyped]  # ships no types

from events.conf import EventsSettings
from events.event import Event
from events.models import OutboxRecord
from events.outbox.publish import publish_all
from events.outbox.relay import Relay
from events.probes import Health
from events.stop import Stop
from tests.waiting import LIMIT_S

CHECKOUT = Path(__file__).parents[2]


class Noted(Event, frozen=True, kw_only=True):
    """The `n`th fact of its key."""

    type: ClassVar[str] = "test.noted"
    topic: ClassVar[str] = "user_events"

    of: str
    n: int
    text: str = ""

    @property
    def key(self) -> str:
        return self.of


class Elsewhere(Noted, frozen=True, kw_only=True):
    """The same for another topic."""

    type: ClassVar[str] = "test.elsewhere"
    topic: ClassVar[str] = "user_analytics"


@dataclass(frozen=True, slots=True)
class Topics:
    """Where this test's facts go: two topics of its own that exist."""

    user_events: str
    user_analytics: str


def commit(*events: Event) -> None:
    with transaction.atomic():
        publish_all(events)


def pending() -> int:
    return OutboxRecord.objects.filter(published_at=None, dead_at=None).count()


def database_url() -> str:
    """Of the tests' own database."""
    now = connection.settings_dict
    return f"postgres://{now['USER']}:{now['PASSWORD']}@{now['HOST']}:{now['PORT']}/{now['NAME']}"


@contextmanager
def relaying(**changes: Any) -> Iterator[Health]:
    """A relay in a thread of this process; asked to stop, and waited for, at the end."""
    changed = replace(EventsSettings.current(), database_direct_url=database_url(), stop_within_s=10, **changes)
    stop, health, crashes = Stop(), Health(), list[Exception]()

    def run() -> None:
        try:
            Relay(settings=changed, health=health).run(stop)
        except Exception as error:  # noqa: BLE001 - raised below, where the test sees it
            crashes.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, name="relay under test")
    thread.start()
    try:
        yield health
    finally:
        stop.ask()
        thread.join(LIMIT_S)
        assert not crashes, crashes
        assert not thread.is_alive()


class RelayProcess:
    """`manage.py relay_outbox` as a process of its own on the tests' database."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        topics = {f"KAFKA_TOPIC_{key.upper()}": name for key, name in EventsSettings.current().topics.items()}
        url = database_url()
        ours = {"DATABASE_URL": url, "DATABASE_DIRECT_URL": url, "DEBUG": "on", "PGAPPNAME": "relay under test"}
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "relay_outbox", "--port", str(self._port), *arguments],
            cwd=CHECKOUT, stdout=subprocess.PIPE, text=True,
            env=os.environ | topics | ours | environ,
        )  # fmt: skip
        self._said: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._said.append(line)

    def has_said(self, text: str) -> bool:
        return any(text in line for line in self._said)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
            body: bytes = answer.read()
        return body.decode()

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz") == '{"status": "ok"}'
        except OSError:  # 503, or not listening yet
            return False

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self, *, within_s: float = LIMIT_S) -> int:
        return self.process.wait(within_s)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.join(LIMIT_S)
        if self.process.stdout:
            self.process.stdout.close()


@contextmanager
def relay_process(*arguments: str, **environ: str) -> Iterator[RelayProcess]:
    process = RelayProcess(*arguments, **environ)
    try:
        yield process
    finally:
        process.end()


def all_records(topic: str) -> list[Any]:
    """Everything that lies in a topic now, partition by partition, as the client gives it."""
    brokers = list(EventsSettings.current().brokers)
    with closing(KafkaConsumer(bootstrap_servers=brokers, api_version=(4, 0), reconnect_backoff_max_ms=1000)) as reader:
        places = [TopicPartition(topic, partition) for partition in sorted(reader.partitions_for_topic(topic) or ())]
        reader.assign(places)
        reader.seek_to_beginning()
        ends = reader.end_offsets(places)
        found: dict[Any, list[Any]] = {place: [] for place in places}
        while any(reader.position(place) < ends[place] for place in places):
            for place, records in reader.poll(timeout_ms=1000).items():
                found[place] += records
    return [record for place in places for record in found[place]]


def first_arrivals(records: Sequence[Any]) -> dict[str, list[int]]:
    """Per key the `n`s in the order of their first arrival."""
    seen: set[bytes] = set()
    arrivals: dict[str, list[int]] = defaultdict(list)
    for record in records:
        event_id = dict(record.headers)["ce_id"]
        if event_id not in seen:
            seen.add(event_id)
            arrivals[record.key.decode()].append(Noted.from_json(record.value).n)
    return arrivals
