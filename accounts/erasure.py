"""Forget a person: clear the row of a deleted user, and every personal member that is held about them.

Called by `handlers.cleanup` in the consumer's transaction, and by house-keeping (`usercenter.tasks`) for what that has
missed. What is kept says when something happened to an id, and nobody can tell any more whose it was; both names can be
registered again. Topics forget by their retention.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from accounts import observe, passwords
from accounts.models import LastLogin, LoginRecord, SecurityRecord, User, UserSettings
from accounts.outside import calls, notices
from accounts.projections import profile_cache
from events import erasure
from events.errors import Transient

# No name that can be registered has a tilde.
NOBODY = "deleted~"
# The consumer erases within seconds, or when its outage is over.
IN_TIME = timedelta(hours=1)
# What was under way when its user was erased has been written by then; house-keeping comes round in between.
LATE = timedelta(hours=3)
AT_ONCE = 100

_DELETE_TOKENS = """
delete from accounts_refreshtoken where session_id in (select id from accounts_session where user_id = %s)
"""
_DELETE_SESSIONS = "delete from accounts_session where user_id = %s"


def clean_up(user_id: UUID, *, key: str) -> None:
    """Owe the last mail, once a `key`, to the address that is about to be forgotten; then erase the user.

    In the caller's transaction. Only a row that says itself that it is deleted, and has not been erased. Raises
    CacheAway: then nothing is done.
    """
    for user in User.objects.locked([user_id]):
        if user.status == User.Status.DELETED and user.erased_at is None:
            facts = {"deleted_on": user.updated_at.astimezone(UTC).date().isoformat()}
            notices.request(kind="deleted", email=user.email, key=key, facts=facts)
            _erase(user)


def clean_up_missed(*, now: datetime) -> None:
    """Who is deleted and was not erased in time: the event was given up, or never came. Raises as `each_alone`."""
    missed = User.objects.filter(status=User.Status.DELETED, erased_at=None, updated_at__lt=now - IN_TIME)
    each_alone(_longest_waiting(missed)[:AT_ONCE], lambda user_id: clean_up(user_id, key=f"{user_id}/clean-up"))


def erase_late(*, now: datetime) -> None:
    """What was written beside an erasure, or set aside and not seen by it, is erased too. Raises as `each_alone`."""
    # Of a stranger's record the key may be anything.
    set_aside = Q(pk__in=[key for key in erasure.keys_set_aside() if _is_id(key)])
    deleted = User.objects.filter(set_aside | Q(erased_at__gt=now - LATE), status=User.Status.DELETED)
    each_alone(_longest_waiting(deleted), _erase_again)


def _longest_waiting(users: QuerySet[User]) -> QuerySet[User, UUID]:
    """Their ids; nothing has changed of a deleted user since the deletion."""
    return users.order_by("updated_at", "pk").values_list("pk", flat=True)


def each_alone(user_ids: Iterable[UUID], act: Callable[[UUID], None]) -> None:
    """Each in a transaction of its own: who cannot be erased keeps none of the others from it.

    Raises what they raised, together. A cache or a database that is away would be so for the next one, too: there it
    ends.
    """
    failures: list[Exception] = []
    for user_id in user_ids:
        try:
            with transaction.atomic():
                act(user_id)
        except Exception as error:  # noqa: BLE001 - raised below
            observe.record_not_erased(error, user_id=user_id)
            failures.append(error)
            if isinstance(error, Transient) or connection.connection is None:
                break
    if failures:
        raise ExceptionGroup("erasure", failures)


def _erase_again(user_id: UUID) -> None:
    _blank_logs(user_id)
    erasure.erase(str(user_id))


def _erase(user: User) -> None:
    """The one change of the users table without an event: `user.deleted` has announced it."""
    _clear_what_belongs_to(user)
    _blank_logs(user.pk)
    with _unguarded(f"erasure of the deleted user {user.pk}"):
        _clear(user)
    erasure.erase(str(user.pk))
    profile_cache.forget(user.pk, user.version)


def _clear_what_belongs_to(user: User) -> None:
    """Rows that are about the person alone go."""
    with connection.cursor() as cursor:
        # Django would read all of them first, and of who has signed in often there are many.
        cursor.execute(_DELETE_TOKENS, [user.pk])
        cursor.execute(_DELETE_SESSIONS, [user.pk])
    user.links.all().delete()
    UserSettings.objects.filter(user_id=user.pk).delete()
    LastLogin.objects.filter(user_id=user.pk).delete()
    calls.forget(user.pk)
    user.groups.clear()
    user.user_permissions.clear()


def _blank_logs(user_id: UUID) -> None:
    """They go on saying when something happened to the id, without device and address."""
    LoginRecord.objects.filter(user_id=user_id).exclude(ip=None, device="").update(ip=None, network="", device="")
    SecurityRecord.objects.filter(user_id=user_id).update(ip=None, device="", reason="")
    # The admin keeps the name of what was changed there.
    LogEntry.objects.filter(content_type__app_label="accounts", object_id=str(user_id)).update(object_repr=NOBODY)


def _is_id(key: str) -> bool:
    try:
        return str(UUID(key)) == key
    except ValueError:
        return False


def _clear(user: User) -> None:
    nobody = f"{NOBODY}{user.pk}"
    User.objects.filter(pk=user.pk).update(
        username=nobody,
        username_canonical=nobody,
        email="",
        email_canonical=nobody,
        email_verified=False,
        password=passwords.no_hash(),
        status_reason="",
        display_name="",
        locale="en",
        time_zone="UTC",
        is_staff=False,
        is_superuser=False,
        erased_at=Now(),
    )


@contextmanager
def _unguarded(reason: str) -> Iterator[None]:
    """The way round the triggers, for the statements of the block; it is logged."""
    with connection.cursor() as cursor:
        cursor.execute("select accounts_unguarded(%s)", [reason])
        yield
        cursor.execute("select accounts_guarded()")
