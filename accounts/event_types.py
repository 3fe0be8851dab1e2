"""The facts that this app publishes. Their JSON Schemas lie in `schemas/`; `routes.py` says who handles them."""

from datetime import datetime
from typing import ClassVar, Literal, Self, cast
from uuid import UUID

import msgspec

from accounts.models import Session, User
from accounts.models.session import Client
from events.event import Event, Instant, PersonalStr

Status = Literal["active", "suspended", "pending_deletion", "deleted"]
Scope = Literal["one", "others", "all"]
PasswordHow = Literal["change", "reset", "operator"]
AlertKind = Literal["refresh_token_reused", "login_blocked", "unusual_login"]
Sign = Literal["new_device", "new_network", "after_failures"]


class UserEvent(Event, frozen=True, kw_only=True):
    """What every fact about a user carries; `version` is the user's after the change."""

    topic: ClassVar[str] = "user_events"
    stream: ClassVar[str | None] = "accounts.user"

    user_id: UUID
    version: int

    @property
    def key(self) -> str:
        """The user's id: one user's events stay in order."""
        return str(self.user_id)

    @property
    def stream_version(self) -> int | None:
        """What the users table's triggers look for."""
        return self.version


class UserRegistered(UserEvent, frozen=True, kw_only=True):
    """Somebody has signed up, or was made by an administrator."""

    type: ClassVar[str] = "user.registered"

    username: PersonalStr
    email: PersonalStr
    display_name: PersonalStr
    locale: str
    registered_at: Instant


class UserLoggedIn(UserEvent, frozen=True, kw_only=True):
    """Somebody has signed in with the right password. The user's version stays as it was."""

    type: ClassVar[str] = "user.logged_in"

    session_id: UUID
    at: Instant
    device: PersonalStr
    ip: PersonalStr

    @classmethod
    def of(cls, session: Session) -> Self:
        """The sign-in that opened this session, whose user is locked."""
        user = session.user
        return cls(
            user_id=user.pk,
            version=user.version,
            session_id=session.pk,
            at=session.auth_time,
            device=session.device,
            ip=session.ip,
        )


class UserLoggedOut(UserEvent, frozen=True, kw_only=True):
    """Sessions have ended at somebody's word. The user's version stays as it was.

    `scope` one: `session_id` has ended; others: all but that; all: `session_id` is null.
    """

    type: ClassVar[str] = "user.logged_out"

    scope: Scope
    session_id: UUID | None
    at: Instant


class UserPasswordChanged(UserEvent, frozen=True, kw_only=True):
    """The password is another: changed by who knew it, reset by a link, or set at the operator's command line."""

    type: ClassVar[str] = "user.password_changed"

    how: PasswordHow
    at: Instant
    device: PersonalStr
    ip: PersonalStr


class UserSecurityAlert(UserEvent, frozen=True, kw_only=True):
    """Something that the user should know of, and that others may have done. The user's version stays as it was.

    `signs` say what was unusual about a login; a new device or network is one that no earlier login came from.
    """

    type: ClassVar[str] = "user.security_alert"

    kind: AlertKind
    at: Instant
    device: PersonalStr
    ip: PersonalStr
    signs: tuple[Sign, ...] = ()

    @classmethod
    def of(cls, user: User, *, kind: AlertKind, at: datetime, client: Client) -> Self:
        """About this user, who is locked."""
        return cls(user_id=user.pk, version=user.version, kind=kind, at=at, device=client.device, ip=client.ip)


class UserChanges(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The members that have another value now, and that value."""

    username: PersonalStr | msgspec.UnsetType = msgspec.UNSET
    email: PersonalStr | msgspec.UnsetType = msgspec.UNSET
    email_verified: bool | msgspec.UnsetType = msgspec.UNSET
    display_name: PersonalStr | msgspec.UnsetType = msgspec.UNSET
    locale: str | msgspec.UnsetType = msgspec.UNSET
    time_zone: str | msgspec.UnsetType = msgspec.UNSET
    is_staff: bool | msgspec.UnsetType = msgspec.UNSET
    is_superuser: bool | msgspec.UnsetType = msgspec.UNSET
    groups: list[str] | msgspec.UnsetType = msgspec.UNSET
    notify_email: bool | msgspec.UnsetType = msgspec.UNSET
    notify_sms: bool | msgspec.UnsetType = msgspec.UNSET


class UserUpdated(UserEvent, frozen=True, kw_only=True):
    """The user is another than before in `changes`."""

    type: ClassVar[str] = "user.updated"

    changes: UserChanges
    at: Instant

    @classmethod
    def of(cls, user: User, changes: UserChanges) -> Self:
        """This user, after the change."""
        return cls(user_id=user.pk, version=user.version, changes=changes, at=user.updated_at)


class UserStatusChanged(UserEvent, frozen=True, kw_only=True):
    """The status is another. A suspension ends by itself at `until`, a pending deletion is done then."""

    type: ClassVar[str] = "user.status_changed"

    former: Status = msgspec.field(name="from")
    to: Status
    reason: PersonalStr
    until: Instant | None = None
    at: Instant

    @classmethod
    def of(cls, user: User, *, former: str) -> Self:
        """This user, after the move."""
        until = user.delete_after if user.status == User.Status.PENDING_DELETION else user.status_until
        return cls(
            user_id=user.pk,
            version=user.version,
            former=cast("Status", former),
            to=cast("Status", user.status),
            reason=user.status_reason,
            until=until,
            at=user.updated_at,
        )


class UserDeleted(UserEvent, frozen=True, kw_only=True):
    """The account is gone for good. What is kept of the person is being erased: so this says who by id alone."""

    type: ClassVar[str] = "user.deleted"

    at: Instant
