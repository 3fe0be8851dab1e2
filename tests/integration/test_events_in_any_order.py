"""Events that come three times each, in whatever order and batches, lead to what they lead to in the best of orders.

Within a key Kafka keeps the order. What of it the handlers need is one thing alone: that the deletion comes last.
"""

import random
from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.event_types import UserPasswordChanged
from accounts.models import Figure, LastLogin, LoginRecord, OutsideCall, SecurityRecord, User, UserSettings
from accounts.projections import profile_cache
from accounts.services import lifecycle
from accounts.services.administration import change_user
from devstack import Stack
from events.inbox import batch
from events.kafka import Record
from events.models import OutboxRecord, ParkedDelivery
from events.outbox.publish import publish
from tests.integration.caching import GONE, cached
from tests.integration.delivering import group, published
from tests.integration.logins import NINE, logged_in
from tests.integration.mailing import registered_user

pytestmark = pytest.mark.django_db(transaction=True)

TEN = NINE + timedelta(hours=1)
PLACE = ("Firefox", "203.0.113.7")


def somebody(name: str) -> User:
    """Who has done everything, and is suspended now."""
    user, now = registered_user(name, email=f"{name}@example.com"), timezone.now()
    events = [logged_in(user.pk, at) for at in (NINE, TEN)]
    changed = UserPasswordChanged(user_id=user.pk, version=1, how="change", at=TEN, device=PLACE[0], ip=PLACE[1])
    for event in (*events, changed):
        with transaction.atomic():
            publish(event)
    change_user(user_id=user.pk, changes={"display_name": f"The {name}"}, expected=None, by=None, now=now)
    lifecycle.suspend(user_id=user.pk, reason="spam", until=None, by=None, now=now)
    lifecycle.reactivate(user_id=user.pk, reason="a mistake", by=None, now=now)
    lifecycle.suspend(user_id=user.pk, reason="more spam", until=None, by=None, now=now)
    return user


def shuffled(records: Sequence[Record], leaving: User, order: random.Random) -> list[Record]:
    """Each three times, and only those of `leaving` in their order, as often as they come."""
    mixed = list(records) * 3
    order.shuffle(mixed)
    own = iter([record for record in records if record.key == str(leaving.pk).encode()] * 3)
    return [next(own) if record.key == str(leaving.pk).encode() else record for record in mixed]


def arrive(records: list[Record], order: random.Random) -> None:
    """In batches of some."""
    while records:
        some = order.randint(1, 9)
        batch.handle(records[:some], group())
        records = records[some:]
    assert not ParkedDelivery.objects.exists()


def logins_of(user: User) -> list[tuple[object, ...]]:
    return list(LoginRecord.objects.filter(user_id=user.pk).order_by("at").values_list("at", "device", "ip"))


def owed_to(user: User) -> list[tuple[str, str]]:
    """Kind and reason of each mail."""
    calls = OutsideCall.objects.filter(user_id=user.pk)
    return sorted((call.kind, call.facts.get("reason", "")) for call in calls)


def is_as_it_should(user: User, name: str) -> None:
    assert UserSettings.objects.filter(user_id=user.pk, notify_email=True).count() == 1
    assert logins_of(user) == [(NINE, *PLACE), (TEN, *PLACE)]
    assert LastLogin.objects.get(user_id=user.pk).at == TEN
    assert list(SecurityRecord.objects.filter(user_id=user.pk).values_list("kind", "ip")) == [
        ("password_changed", PLACE[1])
    ]
    # Of two suspensions each has its notice, and that of the time between is over.
    assert owed_to(user) == [
        ("password_changed", ""), ("suspended", "more spam"), ("suspended", "more spam"), ("welcome", ""),
    ]  # fmt: skip
    assert cached(user.pk) == {"id": str(user.pk), "username": name, "display_name": f"The {name}", "version": 5}


def is_erased(user: User) -> None:
    assert not UserSettings.objects.filter(user_id=user.pk).exists()
    assert logins_of(user) == [(NINE, "", None), (TEN, "", None)]
    assert not LastLogin.objects.filter(user_id=user.pk).exists()
    assert list(SecurityRecord.objects.filter(user_id=user.pk).values_list("kind", "device", "ip")) == [
        ("password_changed", "", None)
    ]
    assert not OutsideCall.objects.filter(user_id=user.pk, settled_at=None).exists()
    assert list(OutsideCall.objects.filter(user_id=None).values_list("kind", "email")) == [
        ("deleted", "cat@example.com")
    ]
    assert cached(user.pk) == GONE


@pytest.mark.parametrize("seed", range(5))
def test_three_times_in_any_order_is_the_same_as_once_in_the_best(parts: Stack, seed: int) -> None:
    order = random.Random(seed)  # noqa: S311 - an order that is the same at each run
    ann, bob, cat = (somebody(name) for name in ("ann", "bob", "cat"))
    lifecycle.delete_immediately(user_id=cat.pk, reason="asked for", by=None, now=timezone.now())

    arrive(shuffled(published(), cat, order), order)

    is_as_it_should(ann, "ann")
    is_as_it_should(bob, "bob")
    is_erased(cat)
    assert sum(Figure.objects.values_list("n", flat=True)) == 3
    assert OutboxRecord.objects.filter(type="user.security_alert").count() == 0
    for user in (ann, bob, cat):
        profile_cache.forget(user.pk, 1_000)
