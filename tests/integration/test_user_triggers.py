"""No user changes without its event, whoever makes the change and however it is written."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.db.models import F
from uuid_utils.compat import uuid7

from accounts.event_types import UserEvent, UserLoggedIn, UserRegistered
from accounts.models import UnguardedChange, User
from accounts.models.user import PUBLISHED_COLUMNS
from events.event import PersonalStr
from events.models import OutboxRecord
from events.outbox.publish import publish, publish_all

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 24, tzinfo=UTC)


class Renamed(UserEvent, frozen=True, kw_only=True):
    """A change of a user, for these tests."""

    type = "test.renamed"

    display_name: PersonalStr = None


class Notice(UserEvent, frozen=True, kw_only=True):
    """Same key and version, but it announces no change of the row."""

    type = "test.notice"
    stream = None

    @property
    def stream_version(self) -> int | None:
        return None


def new_user(name: str = "ann") -> User:
    return User(
        username=name,
        username_canonical=name,
        email=f"{name}@example.com",
        email_canonical=f"{name}@example.com",
        password="x",
        created_at=NOW,
        updated_at=NOW,
    )


def registered(user: User) -> UserRegistered:
    return UserRegistered(
        user_id=user.id,
        version=user.version,
        username=user.username,
        email=user.email,
        display_name="",
        locale="en",
        registered_at=NOW,
    )


def logged_in(user: User) -> UserLoggedIn:
    return UserLoggedIn(user_id=user.id, version=user.version, session_id=uuid7(), at=NOW, device="", ip=None)


def renamed(user: User, version: int) -> Renamed:
    return Renamed(user_id=user.id, version=version)


@pytest.fixture
def user() -> User:
    ann = new_user()
    with transaction.atomic():
        ann.save(force_insert=True)
        publish(registered(ann))
    return ann


def sql(statement: str, *values: str | UUID | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def rows(user: User) -> models.QuerySet[User]:
    return User.objects.filter(pk=user.pk)


DISHONEST: dict[str, Callable[[User], object]] = {
    "insert by the manager": lambda _: new_user("bea").save(force_insert=True),
    "bulk insert": lambda _: User.objects.bulk_create([new_user("bea"), new_user("cid")]),
    "insert by SQL select": lambda user: sql(
        "insert into accounts_user select (jsonb_populate_record(u, jsonb_build_object('id', gen_random_uuid(),"
        " 'username_canonical', 'b', 'email_canonical', 'b'))).* from accounts_user u where id = %s", user.pk),
    "upsert": lambda user: sql(
        "insert into accounts_user select * from accounts_user where id = %s"
        " on conflict (id) do update set display_name = 'x', version = excluded.version + 1", user.pk),
    "merge": lambda user: sql(
        "merge into accounts_user u using (select %s::uuid as id) s on u.id = s.id"
        " when matched then update set status = 'suspended', version = u.version + 1", user.pk),
    "save of a changed column": lambda user: (setattr(user, "display_name", "x"), user.save()),
    "update without a version": lambda user: rows(user).update(status="suspended"),
    "update with a version and no event": lambda user: rows(user).update(status="suspended", version=F("version") + 1),
    "bulk update": lambda user: (setattr(user, "locale", "de"), User.objects.bulk_update([user], ["locale"])),
    "update of the hash alone": lambda user: rows(user).update(password="y"),
    "update by SQL": lambda user: sql("update accounts_user set is_superuser = true where id = %s", user.pk),
    "version taken back": lambda user: (rows(user).update(version=0 + 5), publish(renamed(user, 4))),
    "new id": lambda user: sql("update accounts_user set id = gen_random_uuid() where id = %s", user.pk),
    "delete by the manager": lambda user: rows(user).delete(),
    "delete by SQL": lambda user: sql("delete from accounts_user where id = %s", user.pk),
    "event of the old version": lambda user: (
        rows(user).update(display_name="x", version=2), publish(renamed(user, 1))),
    "event of another user": lambda user: (
        rows(user).update(display_name="x", version=2), publish(renamed(new_user("bea"), 2))),
    "event that announces no row": lambda user: (
        rows(user).update(display_name="x", version=2), publish(Notice(user_id=user.pk, version=2))),
    "event for a change under the same version": lambda user: (
        publish(renamed(user, 1)), rows(user).update(display_name="x")),
    "event undone with its savepoint": lambda user: (
        rows(user).update(display_name="x", version=2), undone(lambda: publish(renamed(user, 2)))),
    "change kept in a savepoint": lambda user: kept(lambda: rows(user).update(display_name="x", version=2)),
    "prepared statement": lambda user: (
        sql("prepare rename(uuid) as update accounts_user set display_name = 'x', version = 2 where id = $1"),
        sql(f"execute rename('{user.pk}')"),
        sql("deallocate rename")),
    "way round set by hand for the session": lambda user: (
        sql("select set_config('accounts.unguarded', '1', false)"),
        rows(user).update(display_name="x", version=2)),
    "way round closed again": lambda user: (
        sql("select accounts_unguarded('import'), accounts_guarded()"),
        rows(user).update(display_name="x", version=2)),
    "way round opened after the change": lambda user: (
        rows(user).update(display_name="x", version=2), sql("select accounts_unguarded('too late')")),
    "deferral asked off before the event": lambda user: (
        rows(user).update(display_name="x", version=2),
        sql("set constraints all immediate"),
        publish(renamed(user, 2))),
}  # fmt: skip

HONEST: dict[str, Callable[[User], object]] = {
    "change, then event": lambda user: (
        rows(user).update(display_name="x", version=2), publish(renamed(user, 2))),
    "event, then change": lambda user: (publish(renamed(user, 2)), rows(user).update(display_name="x", version=2)),
    "insert with its event": lambda _: inserted("bea"),
    "upsert with its event": lambda user: (
        sql("insert into accounts_user select * from accounts_user where id = %s"
            " on conflict (id) do update set display_name = 'x', version = excluded.version + 1", user.pk),
        publish(renamed(user, 2))),
    "delete with the next version's event": lambda user: (rows(user).delete(), publish(renamed(user, 2))),
    "two changes, two events": lambda user: (
        rows(user).update(display_name="x", version=2), publish(renamed(user, 2)),
        rows(user).update(display_name="y", version=3), publish(renamed(user, 3))),
    "versions may be skipped": lambda user: (
        rows(user).update(display_name="x", version=7), publish(renamed(user, 7))),
    "change and event in a kept savepoint": lambda user: kept(
        lambda: (rows(user).update(display_name="x", version=2), publish(renamed(user, 2)))),
    "change in one savepoint, event in another": lambda user: (
        kept(lambda: rows(user).update(display_name="x", version=2)), kept(lambda: publish(renamed(user, 2)))),
    "change undone with its savepoint": lambda user: undone(
        lambda: rows(user).update(display_name="x", version=2)),
    "save that changes nothing": lambda user: user.save(),
    "bookkeeping column alone": lambda user: rows(user).update(updated_at=datetime(2027, 1, 1, tzinfo=UTC)),
    "hash upgraded by a login": lambda user: (rows(user).update(password="y"), publish(logged_in(user))),
    "bulk insert with all events": lambda _: bulk_inserted(["bea", "cid", "dan"]),
    "way round with a reason": lambda user: (
        sql("select accounts_unguarded('restore of a backup')"), rows(user).update(display_name="x")),
    "immediate after the event": lambda user: (
        rows(user).update(display_name="x", version=2), publish(renamed(user, 2)),
        sql("set constraints all immediate")),
}  # fmt: skip


def inserted(name: str) -> None:
    user = new_user(name)
    user.save(force_insert=True)
    publish(registered(user))


def bulk_inserted(names: list[str]) -> None:
    users = User.objects.bulk_create([new_user(name) for name in names])
    publish_all([registered(user) for user in users])


def kept(change: Callable[[], object]) -> None:
    with transaction.atomic():
        change()


def undone(change: Callable[[], object]) -> None:
    with transaction.atomic():
        change()
        transaction.set_rollback(True)


@pytest.mark.parametrize("way", DISHONEST)
def test_a_user_cannot_change_without_its_event(user: User, way: str) -> None:
    before = list(User.objects.values())

    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        DISHONEST[way](user)

    assert refused.value.__cause__.diag.constraint_name == "accounts_user_event"  # type: ignore[union-attr]
    assert list(User.objects.values()) == before
    assert OutboxRecord.objects.count() == 1
    sql("select set_config('accounts.unguarded', '', false)")


@pytest.mark.parametrize("way", HONEST)
def test_an_honest_change_commits(user: User, way: str) -> None:
    with transaction.atomic():
        HONEST[way](user)


def test_copy_is_bound_too(user: User) -> None:
    columns = (*PUBLISHED_COLUMNS, "password", "created_at", "updated_at")
    line = f'{uuid7()},b,b,b@b.c,b@b.c,f,active,"",,,"","",en,UTC,f,f,1,x,2026-11-24,2026-11-24'

    def copied() -> None:
        with (
            connection.cursor() as cursor,
            cursor.copy(f"copy accounts_user ({', '.join(columns)}) from stdin csv") as copy,
        ):
            copy.write(line)

    with pytest.raises(IntegrityError):
        kept(copied)


def test_a_deferred_refusal_undoes_the_whole_transaction(user: User) -> None:
    def one_honest_one_not() -> None:
        inserted("bea")
        rows(user).update(display_name="x", version=2)

    with pytest.raises(IntegrityError):
        kept(one_honest_one_not)

    assert [u.username for u in User.objects.all()] == ["ann"]


def test_truncate_is_refused(user: User) -> None:
    with transaction.atomic():
        sql("alter table accounts_user enable trigger accounts_user_event_t")
        with pytest.raises(IntegrityError, match="TRUNCATE"), transaction.atomic():
            sql("truncate accounts_user cascade")
        transaction.set_rollback(True)

    assert User.objects.count() == 1


def test_the_way_round_is_logged_with_its_reason_and_ends_with_its_transaction(user: User) -> None:
    with transaction.atomic():
        sql("select accounts_unguarded('import of 2019')")
        rows(user).update(display_name="x")

    assert [change.reason for change in UnguardedChange.objects.all()] == ["import of 2019"]
    with pytest.raises(IntegrityError), transaction.atomic():
        rows(user).update(display_name="y")


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_the_way_round_wants_a_reason(reason: str | None) -> None:
    with pytest.raises(Exception, match="needs a reason"), transaction.atomic():
        sql("select accounts_unguarded(%s)", reason)


def test_the_published_columns_of_model_and_triggers_are_the_same() -> None:
    bookkeeping = {"created_at", "updated_at", "password", "erased_at"}
    columns = {field.column for field in User._meta.concrete_fields}
    assert columns - bookkeeping == set(PUBLISHED_COLUMNS)

    with connection.cursor() as cursor:
        cursor.execute("select pg_get_triggerdef(oid) from pg_trigger where tgname = 'accounts_user_event_u'")
        definition = cursor.fetchone()[0]
    assert {column for column in columns if f"old.{column}" in definition} == {*PUBLISHED_COLUMNS, "password"}
