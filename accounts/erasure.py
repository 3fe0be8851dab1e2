"""Forget a person: clear the row of a deleted user, and every personal member that is held about them.

Called by `handlers.cleanup` in the consumer's transaction. What is kept says when something happened to an id, and
nobody can tell any more whose it was; both names can be registered again. Topics forget by their retention.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.db import connection, transaction

from accounts import passwords
from accounts.models import LastLogin, LoginRecord, SecurityRecord, Session, User, UserSettings
from accounts.outside import calls
from accounts.projections import profile_cache
from events import erasure

# No name that can be registered has a tilde.
NOBODY = "deleted~"


def erase(user: User) -> None:
    """Clear all of this user, who is locked and `deleted`. Raises CacheAway: then nothing is done.

    The one change of the users table without an event: `user.deleted` has announced it.
    """
    _clear_what_belongs_to(user)
    with _unguarded(f"erasure of the deleted user {user.pk}"):
        _clear(user)
    erasure.erase(str(user.pk))
    profile_cache.forget(user.pk, user.version)


def erase_late() -> None:
    """What was set aside beside a clean-up, or after it, may still tell of the person: it is erased too."""
    keys = erasure.keys_set_aside()
    # Of a stranger's record the key may be anything.
    ids = [key for key in keys if _is_id(key)]
    for user_id in User.objects.filter(pk__in=ids, status=User.Status.DELETED).values_list("pk", flat=True):
        with transaction.atomic():
            erasure.erase(str(user_id))


def is_erased(user: User) -> bool:
    """Whether that was done."""
    return user.username.startswith(NOBODY)


def _clear_what_belongs_to(user: User) -> None:
    """Rows that are about the person alone go; the logs stay, without device and address."""
    Session.objects.filter(user=user).delete()
    user.links.all().delete()
    UserSettings.objects.filter(user_id=user.pk).delete()
    LastLogin.objects.filter(user_id=user.pk).delete()
    LoginRecord.objects.filter(user_id=user.pk).update(ip=None, network="", device="")
    SecurityRecord.objects.filter(user_id=user.pk).update(ip=None, device="", reason="")
    calls.forget(user.pk)
    # The admin keeps the name of what was changed there.
    LogEntry.objects.filter(content_type__app_label="accounts", object_id=str(user.pk)).update(object_repr=NOBODY)
    user.groups.clear()
    user.user_permissions.clear()


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
    )


@contextmanager
def _unguarded(reason: str) -> Iterator[None]:
    """The way round the triggers, for the statements of the block; it is logged."""
    with connection.cursor() as cursor:
        cursor.execute("select accounts_unguarded(%s)", [reason])
        yield
        cursor.execute("select accounts_guarded()")
