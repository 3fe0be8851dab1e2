"""What a new password, an alert and a change lead to: each effect once, and a cache that is away is waited for."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.db import connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.event_types import PasswordHow, Sign, UserChanges, UserPasswordChanged, UserSecurityAlert, UserUpdated
from accounts.models import OutsideCall, SecurityRecord, User
from accounts.models.session import Client
from accounts.outside import attempts
from accounts.projections import profile_cache
from accounts.projections.profile_cache import ProfileGone
from accounts.projections.valkey import CacheAway
from accounts.routes import ROUTES
from devstack import Stack
from events.conf import EventsSettings
from events.envelope import Stamp, seal
from events.event import Event
from events.models import InboxRecord, ParkedDelivery
from events.outbox.publish import publish
from events.testing import deliver
from tests.integration.consuming import Member, running
from tests.integration.logins import NINE
from tests.integration.mailing import Mailbox, registered_user, text_of
from tests.integration.raw_records import Raw, Topic
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db

CLIENT = Client(device="Firefox", ip="203.0.113.7")


def password_changed(user: User, how: PasswordHow = "change", at: datetime = NINE) -> UserPasswordChanged:
    return UserPasswordChanged(
        user_id=user.id, version=2, how=how, at=at, device=CLIENT.device, ip=CLIENT.ip
    )  # fmt: skip


def unusual_login(user: User) -> UserSecurityAlert:
    return UserSecurityAlert.of(user, kind="unusual_login", at=NINE, client=CLIENT)


def delete(user: User) -> None:
    """Past the services, by the one way there is."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select accounts_unguarded('a test')")
        User.objects.filter(pk=user.pk).update(status=User.Status.DELETED)


def deliver_thrice(event: Event) -> UUID:
    event_id = deliver(event)
    for _ in range(2):
        deliver(event, event_id=event_id)
    return event_id


def logged() -> list[tuple[Any, ...]]:
    """The security log."""
    return list(SecurityRecord.objects.values_list("event_id", "kind", "user_id", "at", "device", "ip"))


# told once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "kind", "what"),
    [("change", "password_changed", "changed"), ("reset", "password_reset", "set by a link from a mail")],
)
def test_a_new_password_is_one_mail_and_one_row(mailbox: Mailbox, how: PasswordHow, kind: str, what: str) -> None:
    user = registered_user("ann", email="ann@example.com")

    event_id = deliver_thrice(password_changed(user, how))
    attempts.sweep()
    attempts.sweep()

    assert logged() == [(event_id, kind, user.id, NINE, "Firefox", "203.0.113.7")]
    [mail] = mailbox.mails()
    assert mail["X-Envelope-To"] == "ann@example.com"
    assert mail["Subject"] == "Your password was changed"
    assert f'the password of your account "ann" was {what} on 2026-11-24, 09:00 UTC' in text_of(mail)
    assert "#token" not in text_of(mail)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("refresh_token_reused", "its token was used twice"),
        ("login_blocked", "Somebody tried to sign in too often with a wrong password"),
    ],
)
def test_an_alert_is_one_mail_and_one_row(mailbox: Mailbox, kind: Any, what: str) -> None:
    user = registered_user("ann", email="ann@example.com")

    event_id = deliver_thrice(UserSecurityAlert.of(user, kind=kind, at=NINE, client=CLIENT))
    attempts.sweep()
    attempts.sweep()

    assert logged() == [(event_id, kind, user.id, NINE, "Firefox", "203.0.113.7")]
    [mail] = mailbox.mails()
    assert mail["X-Envelope-To"] == "ann@example.com"
    assert what in text_of(mail)
    assert "#token" not in text_of(mail)


@pytest.mark.parametrize(
    ("signs", "says"),
    [
        (("new_device",), "There was an unusual sign-in: from a new device. This"),
        (
            ("new_device", "new_network", "after_failures"),
            "sign-in: from a new device, from a new network, after several wrong passwords. This",
        ),
        ((), "There was an unusual sign-in. This"),
    ],
)
def test_an_unusual_login_is_told_by_its_signs(mailbox: Mailbox, signs: tuple[Sign, ...], says: str) -> None:
    user = registered_user("ann", email="ann@example.com")

    deliver_thrice(msgspec.structs.replace(unusual_login(user), signs=signs))
    attempts.sweep()

    [mail] = mailbox.mails()
    assert says in text_of(mail)


def test_an_event_that_the_inbox_forgot_is_told_once(mailbox: Mailbox) -> None:
    user = registered_user()
    event_id = deliver(password_changed(user))
    InboxRecord.objects.all().delete()

    deliver(password_changed(user), event_id=event_id)
    attempts.sweep()

    assert [row[0] for row in logged()] == [event_id]
    assert len(mailbox.mails()) == 1


def test_two_changes_are_two_mails_and_two_rows(mailbox: Mailbox) -> None:
    user = registered_user()

    ids = [deliver(password_changed(user)) for _ in range(2)]
    attempts.sweep()

    assert {row[0] for row in logged()} == set(ids)
    assert len(mailbox.mails()) == 2


def test_who_was_deleted_meanwhile_gets_no_mail(mailbox: Mailbox) -> None:
    user = registered_user()
    delete(user)

    deliver(password_changed(user))
    attempts.sweep()

    assert mailbox.mails() == []
    assert OutsideCall.objects.get().error == "the user is gone"


# the cached profile ------------------------------------------------------------------------------------------


def rename(user: User, name: str) -> UserUpdated:
    """As a service does; gives the event."""
    with transaction.atomic():
        [locked] = User.objects.locked([user.id])
        locked.display_name = name
        locked.change(now=timezone.now())
        locked.save(update_fields=["display_name", "version", "updated_at"])
        event = UserUpdated.of(locked, UserChanges(display_name=name))
        publish(event)
    return event


class NotCachedError(Exception):
    """The cache has no profile."""


def refuse(_: UUID) -> dict[str, Any]:
    raise NotCachedError


def cached(user: User) -> tuple[int, str] | None:
    """Version and name that the cache has; looks without filling it."""
    try:
        kept = profile_cache.read(user.id, otherwise=refuse)
    except (NotCachedError, ProfileGone):
        return None
    return kept["version"], kept["display_name"]


def test_a_change_replaces_the_cached_profile_however_often_it_is_told(parts: Stack) -> None:
    user = registered_user()
    profile_cache.put_if_newer(user.id, {"version": 1, "display_name": "as it was"})

    deliver_thrice(rename(user, "Ann"))

    assert cached(user) == (2, "Ann")


def test_an_older_change_never_brings_back_what_was(parts: Stack) -> None:
    user = registered_user()
    first, second = rename(user, "Ann"), rename(user, "Anna")
    ids = [deliver(second), deliver(first)]
    assert cached(user) == (3, "Anna")

    profile_cache.put_if_newer(user.id, {"version": 4, "display_name": "by somebody quicker"})
    for event, event_id in zip((second, first), ids, strict=True):
        deliver(event, event_id=event_id)
    deliver(first)

    assert cached(user) == (4, "by somebody quicker")


@pytest.fixture
def no_cache(parts: Stack) -> Iterator[Stack]:
    """Valkey is away; it is back behind the test."""
    parts.valkey.stop()
    yield parts
    parts.valkey.start()


def test_a_cache_that_is_away_is_nobodys_fault(no_cache: Stack) -> None:
    event = rename(registered_user(), "Ann")

    with pytest.raises(CacheAway):
        deliver(event)


@pytest.mark.django_db(transaction=True)
def test_the_consumer_waits_for_the_cache_and_goes_on(topic: Topic, no_cache: Stack) -> None:
    user = registered_user()
    events = [rename(user, "Ann"), rename(user, "Anna")]
    topic.write(*(raw_of(event) for event in events))
    with running(Member(topic, ROUTES)) as member:
        wait_for(lambda: member.health.missing == "refresh-profile")
        no_cache.valkey.start()
        wait_for(lambda: cached(user) == (3, "Anna"))
        wait_for(lambda: member.health.missing is None)
    assert not ParkedDelivery.objects.exists()


def raw_of(event: Event) -> Raw:
    """As the relay sends it."""
    stamp = Stamp(id=uuid7(), source=EventsSettings.current().source, time=timezone.now(), traceparent="")
    envelope = seal(event, topic="user.events", stamp=stamp)
    return Raw(envelope.key.encode(), envelope.value, tuple(envelope.headers))
