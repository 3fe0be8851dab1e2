"""What tests on real parts share: a Kafka topic of their own, and a table that shows each call of a handler."""

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest
from django.db import connection
from kafka import KafkaProducer  # type: ignore[import-untyped]  # ships no types
from pytest_django import Settings

from accounts.outside import queue
from devstack import Stack
from events.conf import EventsSettings
from events.kafka import Admin
from events.outbox.pipeline import Pipeline
from tests.integration import counting
from tests.integration.driving import make_pipeline, prepare
from tests.integration.mailing import Mailbox
from tests.integration.raw_records import Topic
from tests.integration.relaying import Topics


@pytest.fixture
def topic(parts: Stack) -> Iterator[Topic]:
    """Of three partitions."""
    settings = EventsSettings.current()
    name = f"test-{uuid4().hex[:12]}"
    with closing(Admin(settings)) as admin:
        admin.create_topic(name)
    producer = KafkaProducer(
        bootstrap_servers=list(settings.brokers), api_version=(4, 0), reconnect_backoff_max_ms=1000
    )
    yield Topic(name, producer)
    producer.close(timeout=5)


@pytest.fixture
def own_topics(parts: Stack, settings: Settings) -> Topics:
    """Set for publishing too."""
    names = {key: f"test-{key}-{uuid4().hex[:12]}" for key in ("user_events", "user_notifications", "user_analytics")}
    settings.EVENTS = {**settings.EVENTS, "TOPICS": names}
    with closing(Admin(EventsSettings.current())) as admin:
        admin.create_topic(names["user_events"])
        admin.create_topic(names["user_analytics"])
    return Topics(names["user_events"], names["user_analytics"])


@pytest.fixture(autouse=True)
def _no_failure_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process keeps quiet towards a queue that was away, in a test before maybe."""
    monkeypatch.setattr(queue, "offer", queue.Queue().offer)


@pytest.fixture
def missing_topic(own_topics: Topics, settings: Settings) -> str:
    """Where Elsewhere goes: a topic that nobody has made."""
    name = own_topics.user_analytics + "-missing"
    settings.EVENTS = {**settings.EVENTS, "TOPICS": {**settings.EVENTS["TOPICS"], "user_analytics": name}}
    return name


@pytest.fixture
def pipeline(own_topics: Topics) -> Iterator[Pipeline]:
    """Connected, for the test to drive (`driving`)."""
    with closing(make_pipeline(batch=500, window=2_000)) as one:
        prepare(one)
        yield one


@pytest.fixture
def broker(parts: Stack) -> Iterator[Stack]:
    """The parts, whose broker runs and answers again afterwards."""
    yield parts
    parts.kafka.resume()
    parts.kafka.start()


@pytest.fixture
def effects(transactional_db: None) -> Iterator[None]:
    """The table that `counting.leave_row` writes to; a child process's handlers may, too."""
    with connection.cursor() as cursor:
        cursor.execute(counting.TABLE)
    yield
    with connection.cursor() as cursor:
        cursor.execute("drop table effects")


@pytest.fixture
def mailbox(parts: Stack, settings: Settings) -> Mailbox:
    """Real mail from this process too, which pytest-django would keep back."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    return Mailbox(parts.mailbox)
