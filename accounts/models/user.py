"""The user: identity, status and version.

No row of this table changes without its event: deferred triggers refuse the commit (accounts/migrations/0002).
So users are made and changed by `accounts.services` alone, never by `objects.create` or `save` elsewhere.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from accounts.errors import Refused

# A change of any of these needs an event and a new version; the triggers hold the same list.
PUBLISHED_COLUMNS = (
    "id", "username", "username_canonical", "email", "email_canonical", "email_verified", "status",
    "status_reason", "status_until", "delete_after", "former_status",
    "display_name", "locale", "time_zone", "is_staff", "is_superuser", "version",
)  # fmt: skip

# Who is told that a name is taken is told by these, never by a look beforehand.
USERNAME_UNIQUE = "accounts_user_username_unique"
EMAIL_UNIQUE = "accounts_user_email_unique"


# What a move of the status changes.
STATUS_COLUMNS = (
    "status", "status_reason", "status_until", "delete_after", "former_status", "version", "updated_at",
)  # fmt: skip
# Who may delete a user without the time to think again.
DELETE_IMMEDIATELY = "delete_user_immediately"


class InvalidState(Refused):
    """The user's status, which is told, allows no such move."""


class UserQuerySet(models.QuerySet["User"]):
    """Reads of users, and the one way to lock them."""

    def locked(self, ids: Sequence[UUID]) -> list["User"]:
        """These users, sorted by id and locked until the transaction ends: the lock order everywhere."""
        return list(self.filter(id__in=ids).order_by("id").select_for_update(no_key=True))

    def get_by_natural_key(self, username: str) -> "User":
        """Django's way to a user by the login name, as typed: `authenticate` wants canonical forms."""
        return self.get(username_canonical=username)


class User(AbstractBaseUser, PermissionsMixin):
    """One account. `version` grows by one with every published change.

    `status_reason` was given at the last move of the status. A suspension ends by itself at `status_until`; an account
    that waits for its deletion is deleted at `delete_after` and, restored, has its `former_status`. `erased_at` is when
    all that tells of a deleted person was cleared.
    """

    class Status(models.TextChoices):
        """Where the account is in its life; docs/openapi.json has the moves."""

        ACTIVE = "active"
        SUSPENDED = "suspended"
        PENDING_DELETION = "pending_deletion"
        DELETED = "deleted"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    username = models.CharField(max_length=64)
    username_canonical = models.CharField(max_length=192)
    email = models.EmailField(max_length=254)
    email_canonical = models.CharField(max_length=762)
    email_verified = models.BooleanField(default=False)
    status = models.CharField(max_length=16, choices=Status, default=Status.ACTIVE)
    status_reason = models.CharField(max_length=200, db_default="", default="", blank=True)
    status_until = models.DateTimeField(null=True, blank=True)
    delete_after = models.DateTimeField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)
    former_status = models.CharField(max_length=16, choices=Status, db_default="", default="", blank=True)
    display_name = models.CharField(max_length=100, default="", blank=True)
    locale = models.CharField(max_length=35, default="en")
    time_zone = models.CharField(max_length=64, default="UTC")
    is_staff = models.BooleanField(default=False)
    version = models.BigIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    # No column: the session by which a door has let this user in, for `services.staff` to look at once more.
    acts_in: UUID | None = None
    # Bookkeeping lives in LastLogin: it is no change of the user.
    last_login = None

    USERNAME_FIELD = "username_canonical"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["username", "email"]

    objects = UserQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(name=USERNAME_UNIQUE, fields=["username_canonical"]),
            models.UniqueConstraint(name=EMAIL_UNIQUE, fields=["email_canonical"]),
            models.CheckConstraint(
                name="accounts_user_status",
                condition=Q(status__in=["active", "suspended", "pending_deletion", "deleted"]),
            ),
            models.CheckConstraint(name="accounts_user_version", condition=Q(version__gte=1)),
        ]
        indexes = [
            # Lists go on behind the last row of a page, by either of these; a search looks for how a name begins.
            models.Index(name="accounts_user_created", fields=["created_at", "id"]),
            models.Index(
                name="accounts_user_by_name", fields=["username_canonical"], opclasses=["varchar_pattern_ops"]
            ),
            models.Index(name="accounts_user_by_email", fields=["email_canonical"], opclasses=["varchar_pattern_ops"]),
            models.Index(name="accounts_user_suspended", fields=["status_until"], condition=Q(status="suspended")),
            models.Index(name="accounts_user_leaving", fields=["delete_after"], condition=Q(status="pending_deletion")),
            models.Index(name="accounts_user_deleted", fields=["erased_at"], condition=Q(status="deleted")),
            # The last of them stays: each of their moves looks at all.
            models.Index(name="accounts_user_superusers", fields=["id"], condition=Q(is_superuser=True)),
        ]
        permissions = [(DELETE_IMMEDIATELY, "Can delete user immediately")]

    def __str__(self) -> str:
        return self.username

    @property
    def is_active(self) -> bool:  # type: ignore[override]  # a plain True in Django, which nobody sets
        """May sign in (Django's admin and permissions ask this name)."""
        return self.status == self.Status.ACTIVE

    def change(self, *, now: datetime) -> None:
        """Note a change of a published column, to be saved and published together with it."""
        self.version += 1
        self.updated_at = now

    def suspend(self, *, reason: str, until: datetime | None, now: datetime) -> str:
        """Bar the user, for ever or until then; gives the former status. Raises InvalidState."""
        return self._move(self.Status.SUSPENDED, {self.Status.ACTIVE}, reason, now, status_until=until)

    def reactivate(self, *, reason: str, now: datetime) -> str:
        """End the suspension; gives the former status. Raises InvalidState."""
        return self._move(self.Status.ACTIVE, {self.Status.SUSPENDED}, reason, now, status_until=None)

    def leave(self, *, reason: str, delete_after: datetime, now: datetime) -> str:
        """Wait for the deletion; gives the former status. Raises InvalidState."""
        stays = {"former_status": self.status, "delete_after": delete_after}
        return self._move(
            self.Status.PENDING_DELETION, {self.Status.ACTIVE, self.Status.SUSPENDED}, reason, now, **stays
        )

    def restore(self, *, reason: str, now: datetime) -> str:
        """Be again what it was before; gives the former status. Raises InvalidState."""
        stays = {"former_status": "", "delete_after": None}
        return self._move(self.former_status, {self.Status.PENDING_DELETION}, reason, now, **stays)

    def delete_for_good(self, *, reason: str, now: datetime) -> str:
        """The end, whatever it was before; gives the former status. Raises InvalidState if it has come already."""
        ends = {"former_status": "", "delete_after": None, "status_until": None}
        return self._move(self.Status.DELETED, set(self.Status) - {self.Status.DELETED}, reason, now, **ends)

    def _move(self, to: str, allowed_from: Collection[str], reason: str, now: datetime, **columns: Any) -> str:
        former = self.status
        if former not in allowed_from:
            raise InvalidState(former)
        self.status, self.status_reason = to, reason
        for name, value in columns.items():
            setattr(self, name, value)
        self.change(now=now)
        return former

    def check_password(self, raw_password: str | None) -> bool:
        """Whether the password is right. Never saves: a hash is upgraded in login's own transaction."""
        return check_password(raw_password, self.password)
