"""`manage.py kafka topics grow`: more partitions under load, and every key in order for whoever reads the topic.

Who reads is a plain consumer of the group, which knows nothing of ours.
"""

import re
import signal
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from events.conf import EventsSettings
from events.models import OutboxRecord, TopicPartitions
from events.outbox.partitions import GOOD_FOR_S, Pins, pause
from events.outbox.session import Session
from tests.integration.growing import KEYS, Prompting, grow_process, load, member
from tests.integration.relaying import (
    Elsewhere,
    Noted,
    Topics,
    commit,
    database_url,
    relaying,
)
from tests.waiting import LIMIT_S, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

# A second to deliver in, so that a pause takes five.
SHORT = {"PRODUCER_DELIVERY_TIMEOUT_MS": 1_000}


@pytest.fixture
def topics(own_topics: Topics, settings: Settings) -> Topics:
    """Of three partitions each, pinned; and a group that nobody else is in."""
    settings.EVENTS = {**settings.EVENTS, **SHORT, "GROUP": f"test-{uuid4().hex[:12]}"}
    kafka("create")
    return own_topics


def kafka(*words: str, out: StringIO | None = None) -> list[str]:
    told = out or StringIO()
    call_command("kafka", "topics", *words, stdout=told)
    return told.getvalue().splitlines()


def pinned(topic: str) -> int:
    pin = TopicPartitions.objects.get(topic=topic)
    assert pin.paused_at is None
    return pin.partitions


def there(topic: str) -> int:
    return int(re.match(rf"{topic}: (\d+) partitions$", kafka("describe", topic)[0])[1])  # type: ignore[index]  # or fail


def test_every_key_stays_in_order_while_a_topic_grows_under_load(topics: Topics) -> None:
    topic = topics.user_events
    with member(topic) as reader, relaying():
        with load() as written:
            wait_for(lambda: len(reader.has_read) > 5 * KEYS)
            reader.may_read.clear()
            rounds = written()
            wait_for(lambda: written() > rounds + 25)
            # What lies unread in the old partitions takes it some seconds: others could overtake it there.
            reader.rest_s = 0.05
            told = kafka("grow", topic, "--partitions", "7", out=Prompting("waiting for group", reader.may_read.set))
            reader.rest_s = 0.0
            rounds = written()
            wait_for(lambda: written() > rounds + 10)
        facts = written() * KEYS
        wait_for(lambda: len({(read.key, read.n) for read in reader.has_read}) == facts)

    assert told == [
        f"{topic}: 3 partitions pinned, 3 in Kafka",
        "paused; waiting 5 s for what is on its way",
        f"waiting for group {group()} to handle everything",
        "sending goes on, over 7 partitions",
    ]
    assert reader.first_arrivals() == {f"user-{key}": list(range(1, written() + 1)) for key in range(KEYS)}
    assert {read.partition for read in reader.has_read} > {0, 1, 2}
    assert (pinned(topic), there(topic)) == (7, 7)


def test_it_gives_up_while_the_group_is_behind_and_sending_goes_on_as_before(topics: Topics) -> None:
    topic = topics.user_events
    with relaying():
        with member(topic) as reader:
            commit(Noted(of="a", n=1))
            wait_for(lambda: reader.has_read)
        commit(Noted(of="a", n=2), Noted(of="b", n=3))
        wait_for(nothing_is_pending)
        with pytest.raises(
            CommandError, match=rf"^group {group()} is still 2 records behind: does consume_events run\?$"
        ):
            kafka("grow", topic, "--partitions", "4", "--group-within", "0.5")
        assert (pinned(topic), there(topic)) == (3, 3)
        commit(Noted(of="a", n=4))
        wait_for(nothing_is_pending)


def test_a_run_that_was_killed_leaves_the_topic_paused_and_can_be_run_again(topics: Topics) -> None:
    topic = topics.user_events
    with relaying():
        with grow_process(topic, "--partitions", "5") as killed:
            wait_for(is_paused)
            killed.kill()
        wait_for(is_every_reading_old)
        commit(Noted(of="a", n=1), Elsewhere(of="a", n=2))
        wait_for(lambda: not OutboxRecord.objects.filter(topic=topics.user_analytics, published_at=None).exists())
        assert OutboxRecord.objects.filter(topic=topic, published_at=None).count() == 1
        [line] = [line for line in outbox_status() if line.startswith(f"{topic}:")]
        assert "1 pending" in line
        assert "PAUSED since" in line

        kafka("grow", topic, "--partitions", "5")

        assert (pinned(topic), there(topic)) == (5, 5)
        wait_for(nothing_is_pending)


def test_a_stopped_run_changes_nothing(topics: Topics) -> None:
    with grow_process(topics.user_events, "--partitions", "5") as stopped:
        wait_for(is_paused)
        stopped.send_signal(signal.SIGTERM)
        _, told = stopped.communicate(timeout=LIMIT_S)

    assert (stopped.returncode, told.strip()) == (1, "CommandError: stopped")
    assert (pinned(topics.user_events), there(topics.user_events)) == (3, 3)


def test_a_run_that_another_has_taken_over_from_pins_nothing(topics: Topics) -> None:
    topic = topics.user_events

    with pytest.raises(CommandError, match=r"^another run has taken over$"):
        kafka("grow", topic, "--partitions", "5", out=Prompting("waiting for group", lambda: pause(topic)))

    assert is_paused()
    assert TopicPartitions.objects.get(topic=topic).partitions == 3


@pytest.mark.parametrize(
    ("partitions", "told"),
    [("3", "it has 3 partitions already"), ("2", "it has 3 partitions, and Kafka cannot take one away")],
)
def test_it_only_ever_grows(topics: Topics, partitions: str, told: str) -> None:
    with pytest.raises(CommandError, match=f"^{told}$"):
        kafka("grow", topics.user_events, "--partitions", partitions)
    assert (pinned(topics.user_events), there(topics.user_events)) == (3, 3)


def test_a_topic_that_is_not_pinned_is_not_grown(topics: Topics) -> None:
    TopicPartitions.objects.all().delete()
    with pytest.raises(CommandError, match=r"is not pinned: `kafka topics create` pins what there is$"):
        kafka("grow", topics.user_events, "--partitions", "4")


def test_a_relay_sends_to_no_topic_that_is_paused_and_by_no_old_reading(topics: Topics) -> None:
    session = Session(database_url())
    pins = Pins(session)
    assert not pins.may_send(topics.user_events)  # nothing read yet

    pins.renew()
    assert pins.may_send(topics.user_events)
    assert pins.may_send("never.pinned")
    assert (pins.count(topics.user_events), pins.count("never.pinned")) == (3, None)

    with connection.cursor() as cursor:
        cursor.execute("update events_topic_partitions set paused_at = now() where topic = %s", [topics.user_events])

    def is_seen() -> bool:
        pins.renew()
        return not pins.may_send(topics.user_events)

    wait_for(is_seen, within_s=GOOD_FOR_S)
    assert pins.may_send(topics.user_analytics)
    wait_for(lambda: not pins.may_send(topics.user_analytics))  # nobody renews it any more
    session.close()


def group() -> str:
    return EventsSettings.current().group


def nothing_is_pending() -> bool:
    return not OutboxRecord.objects.filter(published_at=None).exists()


def is_paused() -> bool:
    return TopicPartitions.objects.exclude(paused_at=None).exists()


def is_every_reading_old() -> bool:
    """Whether whoever renews its reading must have seen the pause by now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select paused_at < clock_timestamp() - make_interval(secs => %s) from events_topic_partitions"
            " where paused_at is not null", [GOOD_FOR_S],
        )  # fmt: skip
        return bool(cursor.fetchone()[0])


def outbox_status() -> list[str]:
    out = StringIO()
    call_command("outbox", "status", stdout=out)
    return out.getvalue().splitlines()
