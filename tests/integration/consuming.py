"""A group's member for tests: in this process, or as the real command in one of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, Self
from urllib.parse import urlsplit

from django.db import connection
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition  # type: ignore[import-untyped]  # ships no types
from kafka.structs import OffsetAndMetadata  # type: ignore[import-untyped]  # as above

from devstack.places import CHECKOUT
from events.conf import EventsSettings
from events.inbox.consumer import Consumer
from events.inbox.group import Group
from events.probes import Health
from events.routing import Routes
from events.stop import Stop
from tests.integration.counting import ROUTES
from tests.integration.raw_records import Topic
from tests.waiting import LIMIT_S

_COMMAND = """
import sys, django
django.setup()
from django.conf import settings
from django.core.management import execute_from_command_line
settings.EVENTS["ROUTES"] = "tests.integration.counting.ROUTES"
execute_from_command_line(["manage.py", "consume_events", "--port", "0", *sys.argv[1:]])
"""


class Member:
    """One consumer in this process; the group is named as the topic. The handlers may ask it to stop."""

    def __init__(self, topic: Topic, routes: Routes = ROUTES, **changes: Any) -> None:
        settings = replace(EventsSettings.current(), group=topic.name, **changes)
        self.stop = Stop()
        self.health = Health()
        group = Group(name=topic.name, routes=routes)
        self.consumer = Consumer(settings=settings, topics=[topic.name], group=group, health=self.health)

    def run(self) -> None:
        """Until asked to stop."""
        self.consumer.run(self.stop)

    def run_once(self) -> None:
        """Until the end of what is there."""
        self.consumer.run(self.stop, once=True)


@contextmanager
def running(member: Member) -> Iterator[Member]:
    """The member at work in a thread; asked to stop, and waited for, when the block ends."""

    def run() -> None:
        try:
            member.run()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(run)
        try:
            yield member
        finally:
            member.stop.ask()
    ended.result()


class ChildMember:
    """One `consume_events` process. Ended with the block."""

    def __init__(self, topic: Topic, **environ: str) -> None:
        database = urlsplit(os.environ["DATABASE_URL"])._replace(path="/" + connection.settings_dict["NAME"]).geturl()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, "--topics", topic.name, "--group", topic.name],
            cwd=CHECKOUT,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "usercenter.settings", "DATABASE_URL": database} | environ,
            stdout=subprocess.DEVNULL,
        )

    def end(self, signal: int) -> int:
        """Send it a signal; gives the exit code."""
        self.process.send_signal(signal)
        return self.process.wait(LIMIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def admin() -> Iterator[KafkaAdminClient]:
    with closing(KafkaAdminClient(bootstrap_servers=list(EventsSettings.current().brokers))) as client:
        yield client


def commit(topic: Topic, offsets: Mapping[int, int]) -> None:
    """Set the group's offsets while no member is there."""
    with closing(_outsider(topic)) as client:
        client.commit(
            {TopicPartition(topic.name, p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
        )


def committed(topic: Topic) -> dict[int, int]:
    """Partition to offset, of those that have one."""
    with closing(_outsider(topic)) as client:
        found = {p: client.committed(TopicPartition(topic.name, p)) for p in client.partitions_for_topic(topic.name)}
    return {partition: offset for partition, offset in found.items() if offset is not None}


def _outsider(topic: Topic) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=list(EventsSettings.current().brokers), group_id=topic.name, enable_auto_commit=False
    )
