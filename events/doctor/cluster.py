"""What the brokers have been told, and what they tell of our topics: part of the `doctor`, judged by `topics`.

`reach` goes first: a client that cannot connect would leave a thread behind and not say why.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing

from django.db import DatabaseError

from events.conf import EventsSettings
from events.doctor import reach, topics
from events.doctor.finding import Finding
from events.errors import Permanent, Transient
from events.kafka import Admin, UnknownTopic
from events.outbox.partitions import Pin, pins


def findings(settings: EventsSettings) -> Iterator[Finding]:
    """The way to each broker and, if one can be reached, the brokers and each of our topics."""
    ways = list(reach.findings(settings))
    yield from ways
    if all(way.is_problem for way in ways):
        return
    try:
        with closing(Admin(settings)) as admin:
            yield Finding("Kafka", "answers")
            yield from _told(settings, admin)
    except (Transient, Permanent) as error:
        yield Finding("Kafka", f"{type(error).__name__}: {error}", unanswered(settings))


def unanswered(settings: EventsSettings) -> str:
    """What to do when the port answers and Kafka does not: it hangs up on a wrong password without a word."""
    if settings.security_protocol.startswith("SASL"):
        return "probably credentials: KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD"
    return f"does this port expect KAFKA_SECURITY_PROTOCOL={settings.security_protocol}? a client certificate?"


def _told(settings: EventsSettings, admin: Admin) -> Iterator[Finding]:
    for broker, value in admin.broker_setting("auto.create.topics.enable").items():
        yield topics.auto_create(broker, value)
    pinned = _pins()
    for topic in settings.topic_names():
        yield from _topic(settings, admin, topic, pinned)


def _topic(
    settings: EventsSettings, admin: Admin, topic: str, pinned: Mapping[str, Pin] | None
) -> Iterator[Finding]:  # fmt: skip
    try:
        states = admin.describe_topic(topic)
    except UnknownTopic:
        yield Finding(f"partitions of {topic}", "no such topic", "manage.py kafka topics create")
        return
    if pinned is not None:
        yield topics.partitions(topic, len(states), pinned.get(topic))
    replicas = min(len(state.replicas) for state in states)
    yield topics.in_sync(topic, replicas, admin.topic_setting(topic, "min.insync.replicas"))
    keeps_ms = admin.topic_setting(topic, "retention.ms")
    yield topics.retention(topic, keeps_ms, outbox_d=settings.outbox_retention_d, inbox_d=settings.inbox_retention_d)


def _pins() -> dict[str, Pin] | None:
    try:
        return pins()
    except DatabaseError:  # which `database` has told
        return None
