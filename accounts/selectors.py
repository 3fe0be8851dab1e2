"""Reads of users and sessions; nothing here writes.

For `api` and `services`, which ask for one thing each and get it in one query.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.errors import Refused
from accounts.models import LoginRecord, SecurityRecord, Session, User
from accounts.names import canonical_identifier
from accounts.tokens import AccessClaims


class UserNotFound(Refused):
    """There is no such user, or none any more."""


class SessionRevoked(Refused):
    """The session has ended, or its user may not act."""


def user_named(typed: str) -> User | None:
    """The user with this username or e-mail address, in whatever spelling."""
    canonical = canonical_identifier(typed)
    if canonical is None:
        return None
    # No username has an `@`, so at most one user is found.
    return User.objects.filter(Q(username_canonical=canonical) | Q(email_canonical=canonical)).first()


def open_session(claims: AccessClaims, *, now: datetime) -> Session:
    """The session that a token names, with its user. Raises SessionRevoked."""
    named = Session.objects.select_related("user").filter(id=claims.session_id, user_id=claims.user_id)
    session = named.first()
    if session is None or session.ended_at or session.expires_at <= now or not session.user.is_active:
        raise SessionRevoked
    return session


def open_sessions_of(user_id: UUID, *, now: datetime) -> QuerySet[Session]:
    """Where the user is signed in."""
    return Session.objects.alive(now=now).filter(user_id=user_id)


def login_log_of(user_id: UUID) -> QuerySet[LoginRecord]:
    """The user's sign-ins, those that failed too."""
    return LoginRecord.objects.filter(user_id=user_id)


def security_log_of(user_id: UUID) -> QuerySet[SecurityRecord]:
    """What the user should know of."""
    return SecurityRecord.objects.filter(user_id=user_id)


def profile_of(user_id: UUID) -> dict[str, Any]:
    """What any signed-in user may see of another. Raises UserNotFound."""
    living = User.objects.filter(id=user_id).exclude(status=User.Status.DELETED)
    profile = living.values("id", "username", "display_name", "version").first()
    if profile is None:
        raise UserNotFound
    return profile | {"id": str(profile["id"])}
