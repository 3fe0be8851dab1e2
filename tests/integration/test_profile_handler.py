"""What user.updated and user.status_changed make of the cached profile: as the database has it, in whatever order."""

from collections.abc import Callable
from datetime import timedelta
from itertools import permutations
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.event_types import UserChanges, UserDeleted, UserEvent, UserStatusChanged, UserUpdated
from accounts.models import User
from accounts.projections import profile_cache
from devstack import Stack
from events.outbox.publish import publish
from events.testing import deliver
from tests.integration.caching import GONE, cached, profile
from tests.integration.logins import NINE
from tests.integration.mailing import registered_user

pytestmark = pytest.mark.django_db

Move = Callable[[User], str]


def suspend(user: User) -> str:
    return user.suspend(reason="spam", until=None, now=timezone.now())


def leave(user: User) -> str:
    now = timezone.now()
    return user.leave(reason="", delete_after=now + timedelta(days=30), now=now)


def restore(user: User) -> str:
    return user.restore(reason="", now=timezone.now())


def moved(user: User, move: Move) -> UserStatusChanged:
    """As a service does; gives the event."""
    with transaction.atomic():
        [locked] = User.objects.locked([user.pk])
        event = UserStatusChanged.of(locked, former=move(locked))
        locked.save()
        publish(event)
    return event


def left(user: User) -> UserStatusChanged:
    return moved(user, leave)


def deleted(user: User) -> UserDeleted:
    with transaction.atomic():
        [locked] = User.objects.locked([user.pk])
        locked.delete_for_good(reason="", now=timezone.now())
        locked.save()
        event = UserDeleted(user_id=user.pk, version=locked.version, at=locked.updated_at)
        publish(event)
    return event


def renamed(user: User, name: str) -> UserUpdated:
    with transaction.atomic():
        [locked] = User.objects.locked([user.pk])
        locked.display_name = name
        locked.change(now=timezone.now())
        locked.save()
        event = UserUpdated.of(locked, UserChanges(display_name=name))
        publish(event)
    return event


def told(user: User) -> tuple[int, str] | str | None:
    """Version and name that the cache has, or that it has a tombstone."""
    kept = cached(user.pk)
    return (kept["version"], kept["display_name"]) if isinstance(kept, dict) else kept


@pytest.mark.parametrize("end", [left, deleted])
def test_who_leaves_is_gone_from_the_cache_in_whatever_order_it_is_told(
    parts: Stack, end: Callable[[User], UserEvent]
) -> None:
    user = registered_user()
    profile_cache.put_if_newer(user.pk, profile(user.pk, 1))
    events = [renamed(user, "Ann"), moved(user, suspend), end(user)]

    for order in permutations(events):
        for event in order:
            deliver(event)
            assert told(user) == GONE


def test_a_repeat_changes_nothing(parts: Stack) -> None:
    user = registered_user()
    event = left(user)
    event_id = deliver(event)

    for _ in range(2):
        deliver(event, event_id=event_id)

    assert told(user) == GONE


def test_who_is_restored_is_seen_again_and_a_late_word_of_the_leaving_hides_nobody(parts: Stack) -> None:
    user = registered_user()
    leaving = left(user)
    deliver(leaving)
    restored = moved(user, restore)

    deliver(restored)
    deliver(leaving)

    assert told(user) == (3, "")


def test_a_suspended_user_stays_visible(parts: Stack) -> None:
    user = registered_user()

    deliver(moved(user, suspend))

    assert told(user) == (2, "")


def test_a_tombstone_has_the_version_of_the_row_whatever_the_event_says(parts: Stack) -> None:
    user = registered_user()
    left(user)
    deliver(UserUpdated(user_id=user.pk, version=1_000_000, changes=UserChanges(), at=NINE))
    assert told(user) == GONE

    deliver(moved(user, restore))

    assert told(user) == (3, "")


def test_of_somebody_unknown_nothing_is_kept(parts: Stack) -> None:
    nobody = uuid4()

    deliver(UserUpdated(user_id=nobody, version=2, changes=UserChanges(), at=NINE))

    assert cached(nobody) is None
