"""What is handled beside the clean-up of a deleted user, or after it, brings nothing of the person back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts import erasure
from accounts.event_types import UserPasswordChanged, UserSecurityAlert
from accounts.models import LastLogin, LoginRecord, OutsideCall, RefreshToken, SecurityRecord, Session, User
from accounts.models.session import Client
from accounts.projections.valkey import CacheAway
from accounts.services import lifecycle
from devstack import Stack
from events.event import Event
from events.inbox import batch
from events.models import OutboxRecord, ParkedDelivery
from events.outbox.publish import publish
from tests.integration.delivering import group, published
from tests.integration.logins import NINE, logged_in
from tests.integration.mailing import change_behind_the_doors, registered_user
from usercenter import tasks

pytestmark = pytest.mark.django_db(transaction=True)

CLIENT = Client(device="Firefox", ip="203.0.113.7")


def told(event: Event) -> None:
    with transaction.atomic():
        publish(event)


def delete(user: User) -> None:
    lifecycle.delete_immediately(user_id=user.pk, reason="asked for", by=None, now=timezone.now())


def password_changed(user: User) -> UserPasswordChanged:
    return UserPasswordChanged(
        user_id=user.pk, version=2, how="change", at=NINE, device=CLIENT.device, ip=CLIENT.ip
    )  # fmt: skip


def alert(user: User) -> UserSecurityAlert:
    return UserSecurityAlert.of(user, kind="login_blocked", at=NINE, client=CLIENT)


def logs() -> set[tuple[str, str | None]]:
    """Device and address of all rows of both logs."""
    tables: Sequence[type[LoginRecord | SecurityRecord]] = (LoginRecord, SecurityRecord)
    return {row for table in tables for row in table.objects.values_list("device", "ip")}


@pytest.mark.parametrize("carefully", [False, True])
def test_of_a_batch_that_ends_with_the_deletion_the_logs_keep_no_place(parts: Stack, *, carefully: bool) -> None:
    user = registered_user()
    for event in (logged_in(user.pk, NINE), alert(user), password_changed(user)):
        told(event)
    delete(user)

    batch.handle(published(), group(), carefully=carefully)

    assert User.objects.get().username.startswith("deleted~")
    assert (LoginRecord.objects.count(), SecurityRecord.objects.count()) == (1, 2)
    assert logs() == {("", None)}
    assert not LastLogin.objects.exists()
    assert not ParkedDelivery.objects.exists()


def test_what_is_told_after_the_clean_up_is_kept_without_a_place(parts: Stack) -> None:
    user = registered_user()
    delete(user)
    batch.handle(published(), group())
    known = {record.offset for record in published()}
    for event in (logged_in(user.pk, NINE), alert(user), password_changed(user)):
        told(event)

    batch.handle([record for record in published() if record.offset not in known], group())

    assert (LoginRecord.objects.count(), SecurityRecord.objects.count()) == (1, 2)
    assert logs() == {("", None)}
    assert not LastLogin.objects.exists()


def test_others_of_the_batch_are_logged_with_their_places(parts: Stack) -> None:
    gone, stays = registered_user(), registered_user("bob", email="bob@example.com")
    for user in (gone, stays):
        for event in (logged_in(user.pk, NINE), alert(user)):
            told(event)
    delete(gone)

    batch.handle(published(), group())

    tables: Sequence[type[LoginRecord | SecurityRecord]] = (LoginRecord, SecurityRecord)
    for table in tables:
        rows = dict(table.objects.values_list("user_id", "ip"))
        assert rows == {gone.pk: None, stays.pk: CLIENT.ip}
    assert list(LastLogin.objects.values_list("user_id", "at")) == [(stays.pk, NINE)]


def test_a_failure_of_the_moment_before_is_erased_with_the_rest(parts: Stack) -> None:
    """Sign-ins that fail, and what has no event, are written by the services."""
    user = registered_user()
    LoginRecord.objects.create(
        user_id=user.pk, at=NINE, outcome="failure", reason="wrong_password", device=CLIENT.device, ip=CLIENT.ip,
        network="203.0.113.0/24",
    )  # fmt: skip
    SecurityRecord.objects.create(
        event_id=uuid7(), kind="email_changed", user_id=user.pk, at=NINE, device=CLIENT.device, ip=CLIENT.ip
    )
    Session.objects.open(user=user, client=CLIENT, now=timezone.now(), for_s=60)
    delete(user)

    batch.handle(published(), group())

    assert logs() == {("", None)}
    assert list(LoginRecord.objects.values_list("network", flat=True)) == [""]
    assert not Session.objects.exists()


def test_whom_the_consumer_has_not_erased_house_keeping_does(parts: Stack) -> None:
    user = registered_user()
    delete(user)
    now = timezone.now()

    erasure.clean_up_missed(now=now + erasure.IN_TIME - timedelta(minutes=1))
    assert User.objects.get().erased_at is None
    for _ in range(2):
        erasure.clean_up_missed(now=now + erasure.IN_TIME + timedelta(minutes=1))

    assert User.objects.get().username == f"deleted~{user.pk}"
    assert list(OutsideCall.objects.values_list("kind", "email")) == [("deleted", "ann@example.com")]
    # And when the event comes after all, nothing is left to do.
    batch.handle(published(), group())
    assert OutsideCall.objects.filter(kind="deleted").count() == 1


@contextmanager
def nothing_is_changed_of(table: str, column: str, user: User) -> Iterator[None]:
    """PostgreSQL refuses it."""
    with connection.cursor() as cursor:
        cursor.execute("create function refuse_it() returns trigger language plpgsql as $$begin raise 'no'; end$$")
        cursor.execute(
            f"create trigger stubborn before update on {table} for each row when (old.{column} = '{user.pk}')"
            " execute function refuse_it()"
        )
        yield
        cursor.execute("drop function refuse_it cascade")


def three_deleted() -> list[User]:
    """The last one first."""
    users = [registered_user(name, email=f"{name}@example.com") for name in ("ann", "bob", "cid")]
    for hours, user in enumerate(users, 2):
        delete(user)
        change_behind_the_doors(user, updated_at=timezone.now() - timedelta(hours=hours))
    return users[::-1]


def erased() -> set[UUID]:
    return set(User.objects.exclude(erased_at=None).values_list("pk", flat=True))


def test_who_cannot_be_erased_keeps_none_of_the_others_from_it(parts: Stack) -> None:
    stubborn, *others = three_deleted()

    with nothing_is_changed_of("accounts_user", "id", stubborn), pytest.raises(ExceptionGroup) as raised:
        tasks.prune()

    assert raised.group_contains(DatabaseError, match="^no", depth=2)
    assert erased() == {user.pk for user in others}
    assert set(OutsideCall.objects.values_list("email", flat=True)) == {user.email for user in others}


def test_while_the_database_is_away_one_is_tried(parts: Stack) -> None:
    ids, tried = [user.pk for user in three_deleted()], []

    def look_as_it_ends(user_id: UUID) -> None:
        tried.append(user_id)
        parts.postgres.kill()
        User.objects.get(pk=user_id)

    try:
        with pytest.raises(ExceptionGroup):
            erasure.each_alone(ids, look_as_it_ends)
    finally:
        parts.postgres.start()

    assert tried == ids[:1]


def test_the_longest_waiting_are_erased_first(parts: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "AT_ONCE", 1)
    expected = set()

    for user in three_deleted():
        erasure.clean_up_missed(now=timezone.now())
        expected.add(user.pk)
        assert erased() == expected


def test_whose_leavings_cannot_be_erased_keeps_none_of_the_others_from_it(parts: Stack) -> None:
    users = three_deleted()
    erasure.clean_up_missed(now=timezone.now())
    stubborn, *others = users
    for user in users:
        LoginRecord.objects.create(user_id=user.pk, at=NINE, outcome="failure", device="Firefox", ip="203.0.113.7")

    with nothing_is_changed_of("accounts_loginrecord", "user_id", stubborn), pytest.raises(ExceptionGroup):
        erasure.erase_late(now=timezone.now())

    assert dict(LoginRecord.objects.values_list("user_id", "device")) == {
        stubborn.pk: "Firefox", **dict.fromkeys((user.pk for user in others), ""),
    }  # fmt: skip


def test_while_the_cache_is_away_one_is_tried_and_none_is_erased_and_then_all_are(parts: Stack) -> None:
    three_deleted()

    parts.valkey.kill()
    try:
        with pytest.raises(ExceptionGroup) as raised:
            erasure.clean_up_missed(now=timezone.now())
    finally:
        parts.valkey.start()

    assert [type(error) for error in raised.value.exceptions] == [CacheAway]
    assert erased() == set()
    erasure.clean_up_missed(now=timezone.now())
    assert len(erased()) == 3


def test_who_is_not_deleted_is_not_erased(parts: Stack) -> None:
    user = registered_user()
    lifecycle.delete(user_id=user.pk, reason="asked for", by=None, now=timezone.now())

    erasure.clean_up_missed(now=timezone.now() + timedelta(days=365))

    assert User.objects.get().username == "ann"


def test_what_was_written_beside_an_erasure_is_erased_too(parts: Stack) -> None:
    user = registered_user()
    delete(user)
    batch.handle(published(), group())
    LoginRecord.objects.create(user_id=user.pk, at=NINE, outcome="failure", device="Firefox", ip="203.0.113.7")
    told(alert(user))

    erasure.erase_late(now=timezone.now())

    assert logs() == {("", None)}
    assert not [one for one in OutboxRecord.objects.all() if b"203.0.113.7" in bytes(one.value)]


def test_a_great_many_sessions_are_erased_without_being_read(
    parts: Stack, django_assert_max_num_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    user = registered_user()
    now = timezone.now()
    sessions = [Session.objects.open(user=user, client=CLIENT, now=now, for_s=3600) for _ in range(50)]
    RefreshToken.objects.bulk_create([RefreshToken(hash=one.pk.bytes, session=one, created_at=now) for one in sessions])
    delete(user)

    with transaction.atomic(), django_assert_max_num_queries(40):
        erasure.clean_up(user.pk, key="once")

    assert not Session.objects.exists()
