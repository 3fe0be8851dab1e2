"""Reads of users and sessions; nothing here writes.

For `api` and `services`, which ask for one thing each and get it in one query.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from accounts.conf import AccountsSettings
from accounts.errors import Refused
from accounts.models import LoginRecord, SecurityRecord, Session, User, UserSettings
from accounts.models.session import SessionRevoked
from accounts.names import canonical_identifier
from accounts.tokens import AccessClaims

# `_meta` is Django's public way to a model's columns.
_SESSION_FIELDS = [field.attname for field in Session._meta.concrete_fields]  # noqa: SLF001 - as above
_USER_FIELDS = [field.attname for field in User._meta.concrete_fields]  # noqa: SLF001 - as above
_SESSION_AND_USER = f"""
select {", ".join(f"session.{name}" for name in _SESSION_FIELDS)}, {", ".join(f"owner.{name}" for name in _USER_FIELDS)}
from accounts_session as session join accounts_user as owner on owner.id = session.user_id
where session.id = %s and session.user_id = %s
"""  # noqa: S608 - names of columns


class UserNotFound(Refused):
    """There is no such user, or none any more."""


class UserGone(UserNotFound):
    """The user is deleted, or waits for it; `version` is the last one."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = version


def user_named(typed: str) -> User | None:
    """The user with this username or e-mail address, in whatever spelling."""
    canonical = canonical_identifier(typed)
    if canonical is None:
        return None
    # No username has an `@`, so at most one user is found.
    return User.objects.filter(Q(username_canonical=canonical) | Q(email_canonical=canonical)).first()


def user_identified(typed: str) -> User | None:
    """As `user_named`, or by the id; what reads as an id is one: nobody passes for another by a name like theirs."""
    try:
        user_id = UUID(typed)
    except ValueError:
        return user_named(typed)
    return User.objects.filter(pk=user_id).first()


def open_session(claims: AccessClaims, *, now: datetime) -> Session:
    """The session that a token names, with its user. Raises SessionRevoked."""
    session = _session_and_user(claims)
    if session is None or session.ended_at or session.expires_at <= now or not session.user.is_active:
        raise SessionRevoked
    return session


def _session_and_user(claims: AccessClaims) -> Session | None:
    """As `select_related` reads it. Each request asks this: building the statement anew takes longer than asking."""
    with connection.cursor() as cursor:
        cursor.execute(_SESSION_AND_USER, [claims.session_id, claims.user_id])
        row = cursor.fetchone()
    if row is None:
        return None
    session = Session.from_db(connection.alias, _SESSION_FIELDS, row[: len(_SESSION_FIELDS)])
    session.user = User.from_db(connection.alias, _USER_FIELDS, row[len(_SESSION_FIELDS) :])
    return session


def open_sessions_of(user_id: UUID, *, now: datetime) -> QuerySet[Session]:
    """Where the user is signed in; a session that no refresh continues any more is none."""
    idle = timedelta(seconds=AccountsSettings.current().refresh_idle_s)
    return Session.objects.alive(now=now).filter(user_id=user_id, last_used_at__gt=now - idle)


def login_log_of(user_id: UUID) -> QuerySet[LoginRecord]:
    """The user's sign-ins, those that failed too."""
    return LoginRecord.objects.filter(user_id=user_id)


def security_log_of(user_id: UUID) -> QuerySet[SecurityRecord]:
    """What the user should know of."""
    return SecurityRecord.objects.filter(user_id=user_id)


def settings_of(user_id: UUID) -> UserSettings:
    """What the user has chosen, or the defaults before there is a row."""
    return UserSettings.objects.filter(pk=user_id).first() or UserSettings(user_id=user_id)


def profile_of(user_id: UUID) -> dict[str, Any]:
    """What any signed-in user may see of another. Raises UserNotFound; UserGone where there was one."""
    found = User.objects.filter(id=user_id).values("id", "username", "display_name", "version", "status").first()
    if found is None:
        raise UserNotFound
    if found["status"] in (User.Status.PENDING_DELETION, User.Status.DELETED):
        raise UserGone(found["version"])
    return {
        "id": str(found["id"]),
        "username": found["username"],
        "display_name": found["display_name"],
        "version": found["version"],
    }
