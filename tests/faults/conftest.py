"""A fleet on the run's own parts, and the judge of what it did."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import connection, connections
from kafka.admin import KafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # ships no types
from pytest_django import Settings

from devstack import Stack
from tests.faults import fleet as fleets
from tests.faults.fleet import Fleet
from tests.faults.ledger import Verdict, create_ledger, drop_ledger, judge, read_kafka, read_ledger


@pytest.fixture
def topic(parts: Stack, settings: Settings) -> str:
    """Of this test's own, of three partitions; what this process publishes goes there, too."""
    name = f"faults-{uuid4().hex[:12]}"
    settings.EVENTS = {**settings.EVENTS, "TOPICS": {**settings.EVENTS["TOPICS"], "user_events": name}}
    with closing(KafkaAdminClient(bootstrap_servers=os.environ["KAFKA_BROKERS"])) as admin:
        admin.create_topics([NewTopic(name, 3, 1)])
    return name


@pytest.fixture
def database_url(transactional_db: None) -> Iterator[str]:
    """The tests' own database, with an empty ledger."""
    now = connection.settings_dict
    url = f"postgres://{now['USER']}:{now['PASSWORD']}@{now['HOST']}:{now['PORT']}/{now['NAME']}"
    create_ledger(url)
    yield url
    drop_ledger(url)


@pytest.fixture
def fleet(parts: Stack, database_url: str, topic: str, tmp_path: Path) -> Iterator[Fleet]:
    """Processes on the run's own parts; all of these run again afterwards, whatever the test did to them."""
    environ = fleets.environment(database_url=database_url, topic=topic, brokers=os.environ["KAFKA_BROKERS"])
    with Fleet(environ=environ, folder=tmp_path) as processes:
        yield processes
    for part in (parts.postgres, parts.kafka):
        part.resume()
        part.start()
    connections.close_all()  # they may be those of a PostgreSQL that was killed


@pytest.fixture
def verdict(database_url: str, topic: str) -> Callable[[], Verdict]:
    """Judges what is committed and what has arrived by now. Raises LedgerBroken."""

    def reached() -> Verdict:
        found = judge(read_ledger(database_url), read_kafka(brokers=os.environ["KAFKA_BROKERS"], topic=topic))
        found.raise_if_broken()
        return found

    return reached
