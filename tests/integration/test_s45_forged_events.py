"""Somebody else can write to the topic: what they say owes no mail, and one look into the outbox tells what is ours."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.event_types import UserRegistered
from accounts.models import Figure, OutsideCall, User, UserSettings
from accounts.outside.mail import build
from events.inbox import batch, dead_letters, retries
from events.kafka import Record
from events.models import OutboxRecord, ParkedDelivery
from events.outbox import operator_store
from events.outbox.publish import publish
from tests.integration.batching import LIMIT_S
from tests.integration.delivering import group, letters, published, record_of
from tests.integration.logins import NINE, logged_in
from tests.integration.mailing import registered_user, registration_of
from tests.integration.test_reader_plans import analyze, scans
from tests.tables import forget_statistics

pytestmark = pytest.mark.django_db(transaction=True)

PROVABLE_D = 14  # by default topics keep 7 days, and the outbox can be told to keep a week more, no less
FOREIGN = "https://elsewhere.example"


def evil(user: User) -> UserRegistered:
    """Of a user that there is: another address."""
    event = registration_of(user)
    return UserRegistered(
        **{**{name: getattr(event, name) for name in event.__struct_fields__}, "email": "evil@evil.example"}
    )


def id_at(at: datetime) -> UUID:
    """A UUID of version 7 of that time (RFC 9562)."""
    return UUID(int=(int(at.timestamp() * 1000) << 80) | (uuid7().int & ((1 << 80) - 1)))


def effects() -> dict[str, int]:
    """What registrations lead to."""
    counted = sum(Figure.objects.values_list("n", flat=True))
    return {"mails": OutsideCall.objects.count(), "settings": UserSettings.objects.count(), "counted": counted}


NOTHING = {"mails": 0, "settings": 0, "counted": 0}
ALL = {"mails": 1, "settings": 1, "counted": 1}


def with_our_source(user: User) -> Record:
    return record_of(evil(user))


def with_a_foreign_source(user: User) -> Record:
    return record_of(evil(user), source=FOREIGN)


def with_an_old_id_and_a_foreign_source(user: User) -> Record:
    return record_of(evil(user), event_id=id_at(timezone.now() - timedelta(days=PROVABLE_D + 1)), source=FOREIGN)


def with_the_id_of_another_key(user: User) -> Record:
    return record_of(evil(registered_user("bob", email="bob@example.com")), event_id=id_published(user))


def with_the_id_of_another_type(user: User) -> Record:
    with transaction.atomic():
        publish(logged_in(user.id, NINE))
    return record_of(evil(user), event_id=OutboxRecord.objects.get(type="user.logged_in").event_id)


def with_the_id_of_a_dead_letter(user: User) -> Record:
    """Another group has refused it; the copy of its dead letter stands in the outbox."""
    forged = with_our_source(user)
    batch.handle([forged], replace(group(), name="another"))
    ParkedDelivery.objects.all().delete()
    OutboxRecord.objects.filter(topic="user.events.dlq").update(published_at=timezone.now())
    return forged


def id_published(user: User) -> UUID:
    return OutboxRecord.objects.get(key=str(user.id)).event_id


@pytest.mark.parametrize(
    "forged",
    [
        with_our_source, with_a_foreign_source, with_an_old_id_and_a_foreign_source, with_the_id_of_another_key,
        with_the_id_of_another_type, with_the_id_of_a_dead_letter,
    ],
)  # fmt: skip
def test_an_event_that_is_not_in_our_outbox_is_a_dead_letter_and_nothing_follows_from_it(
    forged: Callable[[User], Record],
) -> None:
    record = forged(registered_user())
    assert batch.handle([record], group()).settled == {("user.events", 0): 1}
    assert letters() == [("", "unverified: not in the outbox")]
    assert effects() == NOTHING
    assert OutboxRecord.objects.filter(topic="user.events.dlq", published_at=None).count() == 1


def test_what_is_ours_is_handled_beside_what_is_forged() -> None:
    user = registered_user()
    [ours] = published()
    batch.handle([with_our_source(user), ours, with_a_foreign_source(user)], group())
    assert effects() == ALL
    assert OutsideCall.objects.get().user_id == user.id
    assert letters() == [("", "unverified: not in the outbox")] * 2


def test_what_was_on_its_way_while_our_source_changed_is_ours() -> None:
    user = registered_user()
    in_flight = record_of(registration_of(user), event_id=id_published(user), source="https://before.example")
    batch.handle([in_flight, with_a_foreign_source(user)], group())
    assert effects() == ALL
    assert letters() == [("", "unverified: not in the outbox")]


def test_a_foreign_source_gains_nothing_by_an_id_of_ours_that_ours_would_not_gain() -> None:
    """The mail goes to whom the database has."""
    user = registered_user()
    batch.handle([record_of(evil(user), event_id=id_published(user), source=FOREIGN)], group())
    assert effects() == ALL
    assert build(OutsideCall.objects.get()).to == [user.email]


def test_a_forged_event_stays_a_dead_letter_though_it_is_replayed() -> None:
    batch.handle([with_our_source(registered_user())], group())
    dead_letters.replay([ParkedDelivery.objects.get().id])
    assert retries.retry_due(group(), within_s=LIMIT_S) is None
    assert letters() == [("", "unverified: not in the outbox")]
    assert effects() == NOTHING


# What nobody can tell any more ---------------------------------------------------------------------------------


def forgotten(user: User) -> Record:
    """Of our source, and older than what the outbox keeps."""
    return record_of(registration_of(user), event_id=id_at(timezone.now() - timedelta(days=PROVABLE_D + 1)))


def test_an_event_older_than_the_outbox_is_counted_and_owes_no_mail() -> None:
    batch.handle([forgotten(registered_user())], group())
    assert effects() == ALL | {"mails": 0}
    assert letters() == [("send-welcome", "permanent: Unverifiable")]


def test_an_operator_may_vouch_for_an_event_older_than_the_outbox() -> None:
    batch.handle([forgotten(registered_user())], group())
    dead_letters.replay([ParkedDelivery.objects.get().id])
    assert retries.retry_due(group(), within_s=LIMIT_S) is None
    assert effects() == ALL
    assert letters() == []


def test_an_event_almost_as_old_as_the_outbox_keeps_is_proved_or_refused() -> None:
    young = id_at(timezone.now() - timedelta(days=PROVABLE_D, hours=-1))
    batch.handle([record_of(registration_of(registered_user()), event_id=young)], group())
    assert letters() == [("", "unverified: not in the outbox")]
    assert effects() == NOTHING


# What it costs ---------------------------------------------------------------------------------------------------


def looks_into_the_outbox(records: Sequence[Record]) -> int:
    with CaptureQueriesContext(connection) as captured:
        batch.handle(records, group())
    return sum("from events_outbox" in query["sql"] for query in captured.captured_queries)


def test_a_batch_asks_the_outbox_once_and_not_at_all_where_no_handler_wants_to_know() -> None:
    for n in range(20):
        registered_user(f"u{n}", email=f"u{n}@example.com")
    assert looks_into_the_outbox(published()) == 1
    assert OutsideCall.objects.count() == 20
    assert looks_into_the_outbox([record_of(logged_in(uuid7(), NINE))]) == 0


def test_foreign_sources_cost_no_further_look() -> None:
    user = registered_user()
    assert looks_into_the_outbox([*published(), *(record_of(evil(user), source=f"{FOREIGN}/{n}") for n in "abc")]) == 1


def test_what_came_before_asks_nothing() -> None:
    registered_user()
    batch.handle(published(), group())
    assert looks_into_the_outbox(published()) == 0


# A handful of events for each user.
_FILL = """
insert into events_outbox (event_id, topic, key, shard, type, headers, value, published_at)
select gen_random_uuid(), 'user.events', 'user-' || n / 5, 0, 'user.registered', '\\x90', '{}', now()
from generate_series(1, 20000) as n
"""


def fill() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_FILL)


def forget() -> None:
    with connection.cursor() as cursor:
        forget_statistics(cursor, "events_outbox")


STATES: dict[str, Sequence[Callable[[], None]]] = {
    "never analysed": [forget, fill],
    "analysed empty, then filled": [forget, analyze, fill],
    "analysed": [fill, analyze],
}


@pytest.mark.parametrize("claims", [1, 500])
@pytest.mark.parametrize("steps", STATES.values(), ids=STATES)
def test_the_outbox_is_asked_by_its_index_of_keys(steps: Sequence[Callable[[], None]], claims: int) -> None:
    for step in steps:
        step()
    plan = plan_of(claims)
    assert "events_outbox_key" in str(plan)
    assert {node for node, _ in scans(plan)} <= {"Index Scan", "Bitmap Heap Scan"}


def plan_of(claims: int) -> dict[str, Any]:
    given: list[Any] = [
        [uuid7() for _ in range(claims)],
        [f"user-{n}" for n in range(claims)],
        ["user.registered"] * claims,
    ]
    with connection.cursor() as cursor:
        cursor.execute("explain (format json) " + operator_store._IS_OURS, given)
        top: dict[str, Any] = cursor.fetchone()[0][0]["Plan"]
    return top
