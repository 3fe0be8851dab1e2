"""Every process of the application beside one another, for the whole way of an event: web, relay, consumer, worker.

Topics, group and task queue are a house's own; the database is that of the test run, so one house is open at a time.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from celery import Celery
from kafka import KafkaConsumer, KafkaProducer, TopicPartition  # type: ignore[import-untyped]  # ships no types

from devstack import Stack
from devstack.places import CHECKOUT
from tests.acceptance.mailing import Mailing, mailing_of
from tests.acceptance.serving import serving
from tests.acceptance.web import Web
from tests.faults.proxy import Proxy
from tests.integration.consuming import committed
from tests.integration.raw_records import Raw, Topic
from tests.waiting import wait_for

# One of Valkey's databases that no other test has.
QUEUE = 7
_UNSETTLED = """
select 'unsent', type from events_outbox where published_at is null and dead_at is null
union all select 'unhandled', type from events_outbox as record where topic = %s and not exists (
    select from events_inbox where event_id = record.event_id and "group" = %s)
union all select 'owed', kind from accounts_outsidecall where settled_at is null and failed_at is null
"""


class Command:
    """One `manage.py` process of the house, which can be ended and begun again."""

    def __init__(self, name: str, environ: Mapping[str, str], log: Path) -> None:
        self.name, self.log = name, log
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        self._is_asked = False

    def start(self) -> None:
        self._is_asked = False
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", self.name],
                cwd=CHECKOUT, env=self._environ, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def ask_to_stop(self) -> None:
        """Once: the second signal would end it at once."""
        if self._process and not self._is_asked:
            self._process.terminate()
            self._is_asked = True

    def stop(self) -> None:
        """In an orderly way; returns when it has ended."""
        self.ask_to_stop()
        if self._process:
            assert self._process.wait(30) == 0
            self._process = None


@dataclass(frozen=True)
class House:
    """All of it. `events` is the topic of user.events and the group; `cache` stands between the consumer and Valkey."""

    web: Web
    mailing: Mailing
    relay: Command
    consumer: Command
    events: Topic
    cache: Proxy
    queue: str

    def wait_until_settled(self) -> None:
        """Until all that was published is handled, and what was owed for it is done."""
        wait_for(lambda: not self.unsettled())

    def unsettled(self) -> list[tuple[str, str]]:
        """What is still to be done, and the event's type or the mail's kind."""
        return self.web.sql(_UNSETTLED, self.events.name, self.events.name)

    def wait_until_consumed(self) -> None:
        """Until the group has committed the end of every partition."""
        wait_for(lambda: {p: at for p, at in committed(self.events).items() if at} == self._ends())

    def records(self, suffix: str = "") -> list[tuple[int, Raw]]:
        """All of the topic, or of that beside it whose name goes on so, with their partitions."""
        with closing(_reader()) as reader:
            places = self._assigned(reader, suffix)
            reader.seek_to_beginning(*places)
            missing, found = sum(reader.end_offsets(places).values()), list[tuple[int, Raw]]()
            while len(found) < missing:
                for record in (one for batch in reader.poll(timeout_ms=1000).values() for one in batch):
                    found.append((record.partition, Raw(record.key, record.value, tuple(record.headers))))
        return found

    def send(self, records: Sequence[tuple[int, Raw]]) -> None:
        """As anybody may who can write there."""
        for partition, raw in records:
            self.events.write(raw, partition=partition)

    def run_task(self, name: str) -> None:
        """As beat does."""
        celery = Celery(set_as_current=False)
        with celery.connection_for_write(self.queue) as connection:
            celery.send_task(name, connection=connection)

    def _ends(self) -> dict[int, int]:
        with closing(_reader()) as reader:
            return {place.partition: end for place, end in reader.end_offsets(self._assigned(reader)).items() if end}

    def _assigned(self, reader: KafkaConsumer, suffix: str = "") -> list[TopicPartition]:
        topic = self.events.name + suffix
        places = [TopicPartition(topic, n) for n in reader.partitions_for_topic(topic)]
        reader.assign(places)
        return places


@contextmanager
def house_of(parts: Stack, folder: Path, **other: str) -> Iterator[House]:
    """Open until the block ends; its topics exist and all processes are there. `other` are settings that differ."""
    name = f"house-{uuid4().hex[:12]}"
    queue = urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{QUEUE}").geturl()
    own = {
        "KAFKA_BROKERS": os.environ["KAFKA_BROKERS"], "KAFKA_GROUP_ID": name, "KAFKA_TOPIC_USER_EVENTS": name,
        "KAFKA_TOPIC_USER_NOTIFICATIONS": f"{name}-notifications", "KAFKA_TOPIC_USER_ANALYTICS": f"{name}-analytics",
        "CELERY_BROKER_URL": queue, "TRUSTED_PROXIES": "127.0.0.1/32", **other,
    }  # fmt: skip
    with ExitStack() as until_the_end:
        enter, at_the_end = until_the_end.enter_context, until_the_end.callback
        web = enter(serving(folder / "web", **own))
        cache = _before_the_cache()
        at_the_end(cache.close)
        environ = _of_a_command(web, cache)
        _create_topics(environ)
        producer = KafkaProducer(bootstrap_servers=own["KAFKA_BROKERS"], api_version=(4, 0))
        at_the_end(producer.close, 5)
        relay, consumer = (Command(n, environ, folder / n) for n in ("relay_outbox", "consume_events"))
        for command in (relay, consumer):
            command.start()
            at_the_end(command.stop)
        worker = enter(mailing_of(web, parts.mailbox, folder / "worker", CELERY_BROKER_URL=queue))
        at_the_end(relay.ask_to_stop)
        at_the_end(consumer.ask_to_stop)
        mailing = Mailing(worker.log, worker.mailbox, queue)
        yield House(web, mailing, relay, consumer, Topic(name, producer), cache, queue)


def _before_the_cache() -> Proxy:
    at = urlsplit(os.environ["REDIS_URL"])
    return Proxy((str(at.hostname), int(at.port or 6379)))


def _of_a_command(web: Web, cache: Proxy) -> dict[str, str]:
    """Past the web's proxies, and with one of its own before the cache."""
    return {
        **web.environ, "DATABASE_URL": web.dsn, "DATABASE_DIRECT_URL": web.dsn,
        "REDIS_URL": cache.url(os.environ["REDIS_URL"]),
        "KAFKA_CONSUMER_FROM": "earliest", "RELAY_PORT": "0", "CONSUMER_PORT": "0",
    }  # fmt: skip


def _create_topics(environ: Mapping[str, str]) -> None:
    command = [sys.executable, "manage.py", "kafka", "topics", "create"]
    subprocess.run(command, cwd=CHECKOUT, env=dict(environ), capture_output=True, timeout=60, check=True)


def _reader() -> KafkaConsumer:
    return KafkaConsumer(bootstrap_servers=os.environ["KAFKA_BROKERS"], enable_auto_commit=False)
