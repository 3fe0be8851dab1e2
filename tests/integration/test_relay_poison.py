"""A record that Kafka refuses holds back its own key, is tried again, and ends dead where operators see it."""

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest
from django.db import transaction
from kafka import KafkaAdminClient  # type: ignore[import-untyped]  # ships no types
from kafka.admin import (  # type: ignore[import-untyped]  # as above
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
)
from prometheus_client import REGISTRY
from pytest_django import Settings

from events.conf import EventsSettings
from events.envelope import Envelope
from events.kafka import Admin
from events.models import OutboxRecord
from events.outbox.pipeline import ATTEMPTS_MOST
from events.outbox.publish import publish_copy
from tests.integration.relaying import (
    Elsewhere,
    Noted,
    Topics,
    all_records,
    commit,
    first_arrivals,
    pending,
    relaying,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT_BYTES = 2_000
TOO_LARGE = "x" * 5_000


@pytest.fixture
def narrow_topic(own_topics: Topics, settings: Settings) -> str:
    """Where Elsewhere goes: a topic that takes small records only. Uncompressed, or the large one would be small."""
    name = f"test-narrow-{uuid4().hex[:12]}"
    settings.EVENTS = {
        **settings.EVENTS,
        "TOPICS": {**settings.EVENTS["TOPICS"], "user_analytics": name},
        "PRODUCER_COMPRESSION": "none",
    }
    with closing(KafkaAdminClient(bootstrap_servers=list(EventsSettings.current().brokers))) as admin:
        small = {"num_partitions": 1, "replication_factor": 1, "configs": {"max.message.bytes": str(LIMIT_BYTES)}}
        admin.create_topics({name: small}, wait_for_metadata=True)
    return name


@pytest.fixture
def missing_topic(own_topics: Topics, settings: Settings) -> str:
    """Where Elsewhere goes: a topic that nobody has made."""
    name = f"test-missing-{uuid4().hex[:12]}"
    settings.EVENTS = {**settings.EVENTS, "TOPICS": {**settings.EVENTS["TOPICS"], "user_analytics": name}}
    return name


@pytest.fixture
def forbidden_topic(own_topics: Topics) -> Iterator[str]:
    """Where Elsewhere goes: a topic that everybody may read and describe, and nobody may write."""
    brokers = list(EventsSettings.current().brokers)
    topic = ResourcePattern(ResourceType.TOPIC, own_topics.user_analytics)
    rules = [
        ACL("User:*", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, topic),
        ACL("User:*", "*", ACLOperation.WRITE, ACLPermissionType.DENY, topic),
    ]
    with closing(KafkaAdminClient(bootstrap_servers=brokers)) as admin:
        admin.create_acls(rules)
        yield own_topics.user_analytics
        admin.delete_acls([ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, topic)])


def states(key: str) -> list[tuple[int, bool, bool, int]]:
    """(n, published, dead, attempts) of a key's records."""
    kept = OutboxRecord.objects.filter(key=key).order_by("id")
    return [
        (Noted.from_json(bytes(record.value)).n, bool(record.published_at), bool(record.dead_at), record.attempts)
        for record in kept
    ]


def has_tried(key: str, times: int) -> bool:
    return OutboxRecord.objects.filter(key=key, attempts__gte=times).exists()


def as_if_tried_before(key: str, n: int) -> None:
    """All attempts but the last."""
    for record in OutboxRecord.objects.filter(key=key):
        if Noted.from_json(bytes(record.value)).n == n:
            OutboxRecord.objects.filter(id=record.id).update(attempts=ATTEMPTS_MOST - 1)


def test_a_record_too_large_for_its_topic_holds_back_its_own_key_only(own_topics: Topics, narrow_topic: str) -> None:
    commit(*(Elsewhere(of=f"well-{n}", n=0) for n in range(20)))
    commit(Elsewhere(of="bad", n=1), Elsewhere(of="bad", n=2, text=TOO_LARGE), Elsewhere(of="bad", n=3))
    commit(*(Elsewhere(of=f"well-{n}", n=1) for n in range(20)), *(Noted(of=f"other-{n}", n=0) for n in range(20)))
    with relaying():
        wait_for(lambda: pending() == 2)
        wait_for(lambda: has_tried("bad", 2))
        commit(Elsewhere(of="bad", n=4), Elsewhere(of="well-0", n=2))
        wait_for(lambda: pending() == 3)
    assert states("bad")[0] == (1, True, False, 0)
    assert states("bad")[2:] == [(3, False, False, 0), (4, False, False, 0)]
    held = OutboxRecord.objects.get(attempts__gt=0)
    assert held.error == "BrokerRefuses: MessageSizeTooLargeError"
    assert held.next_attempt_at is not None
    arrived = first_arrivals(all_records(narrow_topic))
    assert arrived.pop("bad") == [1]
    assert arrived.pop("well-0") == [0, 1, 2]
    assert arrived == {f"well-{n}": [0, 1] for n in range(1, 20)}


def test_after_the_last_attempt_it_is_dead_and_its_key_goes_on(own_topics: Topics, narrow_topic: str) -> None:
    commit(Elsewhere(of="bad", n=1), Elsewhere(of="bad", n=2, text=TOO_LARGE), Elsewhere(of="bad", n=3))
    as_if_tried_before("bad", 2)
    with relaying():
        wait_for(lambda: pending() == 0)
    assert states("bad") == [(1, True, False, 0), (2, False, True, ATTEMPTS_MOST), (3, True, False, 0)]
    assert OutboxRecord.objects.get(dead_at__isnull=False).error == "BrokerRefuses: MessageSizeTooLargeError"
    assert first_arrivals(all_records(narrow_topic)) == {"bad": [1, 3]}


def test_several_poisoned_keys_are_told_apart(own_topics: Topics, narrow_topic: str) -> None:
    bad = [f"bad-{n}" for n in range(5)]
    for n in range(3):
        text = TOO_LARGE if n == 1 else ""
        commit(*(Elsewhere(of=key, n=n, text=text) for key in bad), *(Elsewhere(of=f"well-{k}", n=n) for k in range(5)))
    with relaying():
        wait_for(lambda: all(has_tried(key, 1) for key in bad))
        wait_for(lambda: pending() == 10)
    arrived = first_arrivals(all_records(narrow_topic))
    assert arrived == {key: [0] for key in bad} | {f"well-{k}": [0, 1, 2] for k in range(5)}
    assert not OutboxRecord.objects.filter(key__startswith="well", attempts__gt=0).exists()


def test_a_missing_topic_holds_back_its_keys_until_it_is_made(own_topics: Topics, missing_topic: str) -> None:
    commit(Elsewhere(of="a", n=1), Elsewhere(of="b", n=1), Elsewhere(of="a", n=2), Noted(of="a", n=7))
    with relaying():
        wait_for(lambda: has_tried("a", 1) and has_tried("b", 1))
        wait_for(lambda: pending() == 3)
        assert set(OutboxRecord.objects.exclude(error="").values_list("error", flat=True)) == {
            f"UnknownTopic: {missing_topic}"
        }
        with closing(Admin(EventsSettings.current())) as admin:
            admin.create_topic(missing_topic)
        wait_for(lambda: pending() == 0)
    assert first_arrivals(all_records(missing_topic)) == {"a": [1, 2], "b": [1]}
    assert first_arrivals(all_records(own_topics.user_events)) == {"a": [7]}


def test_a_forbidden_topic_holds_back_its_keys_and_not_the_others(own_topics: Topics, forbidden_topic: str) -> None:
    commit(*(Elsewhere(of=f"barred-{n}", n=n) for n in range(30)), *(Noted(of=f"well-{n}", n=n) for n in range(30)))
    with relaying():
        wait_for(lambda: OutboxRecord.objects.filter(attempts__gt=0).count() == 30)
        wait_for(lambda: pending() == 30)
    assert set(OutboxRecord.objects.exclude(error="").values_list("topic", "error")) == {
        (forbidden_topic, "NotAuthorised: TopicAuthorizationFailedError")
    }
    assert first_arrivals(all_records(own_topics.user_events)) == {f"well-{n}": [n] for n in range(30)}


def test_a_missing_topic_ends_dead_at_last(own_topics: Topics, missing_topic: str) -> None:
    commit(Elsewhere(of="a", n=1))
    as_if_tried_before("a", 1)
    with relaying():
        wait_for(lambda: pending() == 0)
    assert states("a") == [(1, False, True, ATTEMPTS_MOST)]


def test_a_refusal_is_counted_by_topic_and_reason(own_topics: Topics, missing_topic: str) -> None:
    labels = {"topic": missing_topic, "reason": "UnknownTopic"}
    commit(Elsewhere(of="a", n=1))
    with relaying():
        wait_for(lambda: OutboxRecord.objects.filter(attempts__gte=1).exists())
    assert REGISTRY.get_sample_value("kafka_producer_errors_total", labels) == OutboxRecord.objects.get().attempts


def test_what_one_relay_held_back_the_next_one_does_too(own_topics: Topics, missing_topic: str) -> None:
    commit(Elsewhere(of="a", n=1))
    OutboxRecord.objects.update(attempts=5, next_attempt_at="2099-01-01T00:00:00Z")
    commit(Elsewhere(of="a", n=2), Noted(of="a", n=1))
    with relaying():
        wait_for(lambda: pending() == 2)
        commit(Noted(of="a", n=2))
        wait_for(lambda: pending() == 2)
    assert states("a")[0] == (1, False, False, 5)


def test_a_dead_letters_copy_whose_trace_is_no_text_is_sent_like_any_other(own_topics: Topics) -> None:
    hostile = Envelope(own_topics.user_events, "ann", (("traceparent", b"\xff"),), b"{}")
    with transaction.atomic():
        publish_copy(hostile, event_id=uuid4(), event_type="unknown")
    commit(Noted(of="ann", n=1))
    with relaying():
        wait_for(lambda: not pending())
    assert next(record.value for record in all_records(own_topics.user_events)) == b"{}"
