"""What tests on real Kafka share: a topic of their own, and raw records in it."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from uuid import uuid4

import pytest
from kafka import KafkaProducer  # type: ignore[import-untyped]  # ships no types
from pytest_django import Settings

from devstack import Stack
from events.conf import EventsSettings
from events.kafka import Admin
from tests.integration.mailing import Mailbox


@dataclass(frozen=True, slots=True)
class Raw:
    """A record as any client may write it."""

    key: bytes | None = b"k"
    value: bytes | None = b"{}"
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of this test alone. Also a group of that name."""

    name: str
    producer: KafkaProducer

    def write(self, *records: Raw, partition: int = 0) -> None:
        """Returns when the broker has them all."""
        sent = [
            self.producer.send(
                self.name, key=raw.key, value=raw.value, headers=list(raw.headers), partition=partition
            )
            for raw in records
        ]  # fmt: skip
        for future in sent:
            future.get(timeout=20)


@pytest.fixture
def topic(parts: Stack) -> Iterator[Topic]:
    """Of three partitions."""
    settings = EventsSettings.current()
    name = f"test-{uuid4().hex[:12]}"
    with closing(Admin(settings)) as admin:
        admin.create_topic(name)
    producer = KafkaProducer(bootstrap_servers=list(settings.brokers), api_version=(4, 0), reconnect_backoff_max_ms=1000)
    yield Topic(name, producer)
    producer.close(timeout=5)


@pytest.fixture
def mailbox(parts: Stack, settings: Settings) -> Mailbox:
    """Real mail from this process too, which pytest-django would keep back."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    return Mailbox(parts.mailbox)
