"""Sessions go on and end: refresh, logout, one of them, all others.

Called by `api.sessions`, by the admin's sign-out (`admin_sign_in`) and, for what staff ends of others,
`api.administration_sessions`. Ending a session's row ends its refresh tokens and its access tokens in the same moment.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from accounts import observe, opaque
from accounts.conf import AccountsSettings
from accounts.errors import Refused
from accounts.event_types import Scope, UserLoggedOut, UserSecurityAlert
from accounts.models import RefreshToken, Session, User
from accounts.models.session import Client, SessionQuerySet, SessionRevoked
from accounts.services import staff
from accounts.services.opening import OpenSession
from accounts.services.transactions import in_transaction
from events.envelope import Actor
from events.outbox.publish import publish


class InvalidRefreshToken(Refused):
    """The refresh token is not one of ours."""


class RefreshTokenReused(Refused):
    """The refresh token was spent before: somebody else may have it, so its session has ended."""


class SessionNotFound(Refused):
    """The user has no such session."""


@dataclass(frozen=True, slots=True)
class _Ending:
    """What user.logged_out tells of it."""

    scope: Scope
    session_id: UUID | None
    actor: Actor


def refresh(*, token: str, client: Client, now: datetime) -> OpenSession:
    """Spend the token for its successor, which is the same for all who present it within REFRESH_GRACE_S.

    Raises InvalidRefreshToken, SessionRevoked; RefreshTokenReused, and then the session has ended. Publishes
    user.security_alert then.
    """
    presented, successor = _rotate(token, now)
    if successor is None:
        _revoke(presented.session, client, now)
        raise RefreshTokenReused
    return OpenSession(presented.session, successor)


def session_of(token: str) -> Session:
    """The session that a refresh token, spent or not, belongs to. Raises InvalidRefreshToken."""
    known = RefreshToken.objects.select_related("session").filter(hash=opaque.digest(token)).first()
    if known is None:
        raise InvalidRefreshToken
    return known.session


@in_transaction
def log_out(*, user_id: UUID, session_id: UUID, now: datetime) -> None:
    """End this session of the user, if it has not ended. Publishes user.logged_out then."""
    ended = Session.objects.filter(user_id=user_id, id=session_id)
    _end(ended, "one", user_id, session_id, now)


@in_transaction
def log_out_of_all(*, user_id: UUID, now: datetime) -> None:
    """End all sessions of the user. Publishes user.logged_out if there was one."""
    _end(Session.objects.filter(user_id=user_id), "all", user_id, None, now)


@in_transaction
def end_all_by_staff(*, user_id: UUID, by: User, now: datetime) -> None:
    """As `log_out_of_all`, by somebody else. Raises UserNotFound, NotAllowed."""
    user = staff.locked(user_id, by=by)
    _end_locked(Session.objects.filter(user=user), user, _Ending("all", None, staff.actor_of(by)), now)


@in_transaction
def end_one_by_staff(*, user_id: UUID, session_id: UUID, by: User, now: datetime) -> None:
    """As `end_one`, by somebody else. Raises SessionNotFound, UserNotFound, NotAllowed."""
    user = staff.locked(user_id, by=by)
    named = Session.objects.filter(user=user, id=session_id)
    if not named.exists():
        raise SessionNotFound
    _end_locked(named, user, _Ending("one", session_id, staff.actor_of(by)), now)


@in_transaction
def log_out_of_others(*, user_id: UUID, session_id: UUID, now: datetime) -> None:
    """End all sessions of the user but this one. Publishes user.logged_out if there was another."""
    others = Session.objects.filter(user_id=user_id).exclude(id=session_id)
    _end(others, "others", user_id, session_id, now)


@in_transaction
def end_one(*, user_id: UUID, session_id: UUID, now: datetime) -> None:
    """As `log_out`. Raises SessionNotFound for another's session, and for none."""
    named = Session.objects.filter(user_id=user_id, id=session_id)
    if not named.exists():
        raise SessionNotFound
    _end(named, "one", user_id, session_id, now)


@in_transaction
def _rotate(token: str, now: datetime) -> tuple[RefreshToken, str | None]:
    """The token that was presented and its successor; None for one that is spent for good."""
    presented = _locked(token)
    if presented is None:
        raise InvalidRefreshToken
    _refuse_ended(presented, now)
    successor = opaque.derived_token("refresh", token)
    if presented.used_at is None:
        presented.used_at = now
        presented.save(update_fields=["used_at"])
        RefreshToken.objects.create(hash=opaque.digest(successor), session=presented.session, created_at=now)
        Session.objects.filter(pk=presented.session_id).update(last_used_at=now)
        return presented, successor
    return presented, successor if _may_be_given_again(presented.used_at, successor, now) else None


def _locked(token: str) -> RefreshToken | None:
    """The token, whose session is locked first: so it is by all that ends it or renews its tokens."""
    of_token = Session.objects.filter(refresh_tokens__hash=opaque.digest(token)).select_related("user")
    session = of_token.select_for_update(of=("self",), no_key=True).first()
    # Only now: what another has done to the token meanwhile is seen.
    presented = RefreshToken.objects.filter(hash=opaque.digest(token)).first()
    if session is None or presented is None:
        return None
    presented.session = session
    return presented


def _refuse_ended(presented: RefreshToken, now: datetime) -> None:
    session = presented.session
    idle = timedelta(seconds=AccountsSettings.current().refresh_idle_s)
    if session.ended_at or session.expires_at <= now or not session.user.is_active:
        raise SessionRevoked
    if presented.used_at is None and presented.created_at + idle <= now:
        raise SessionRevoked


def _may_be_given_again(used_at: datetime, successor: str, now: datetime) -> bool:
    """An answer that was lost, or two tabs at once: as long as nobody has gone on with the successor."""
    grace = timedelta(seconds=AccountsSettings.current().refresh_grace_s)
    unspent = RefreshToken.objects.filter(hash=opaque.digest(successor), used_at=None)
    # Without a grace there is none either for who read the clock before the one who won.
    return bool(grace) and now - used_at < grace and unspent.exists()


@in_transaction
def _revoke(session: Session, client: Client, now: datetime) -> None:
    """End the session; of many that find it reused, one tells the user."""
    for user in User.objects.locked([session.user_id]):
        if Session.objects.filter(pk=session.pk).end(now=now):
            alert = UserSecurityAlert.of(user, kind="refresh_token_reused", at=now, client=client)
            publish(alert, actor=Actor("system"))
            observe.record_refresh_token_reused(session_id=session.pk)


def _end(sessions: SessionQuerySet, scope: Scope, user_id: UUID, session_id: UUID | None, now: datetime) -> None:
    for user in User.objects.locked([user_id]):
        _end_locked(sessions, user, _Ending(scope, session_id, Actor("user", str(user_id))), now)


def _end_locked(sessions: SessionQuerySet, user: User, ending: _Ending, now: datetime) -> None:
    if sessions.alive(now=now).end(now=now):
        ended = UserLoggedOut(
            user_id=user.pk, version=user.version, scope=ending.scope, session_id=ending.session_id, at=now
        )
        publish(ended, actor=ending.actor)
