"""What every way of signing in shares: who it is, whether they may, and the session that is opened.

Beside `sign_in`, `registration`, `passwords` and `sessions`, which call it. Whatever is wrong costs one hash run and
gets one and the same refusal; what is special about an account is told only to who knows its password.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts import observe, opaque, passwords, selectors, throttles
from accounts.conf import AccountsSettings
from accounts.errors import Refused
from accounts.event_types import UserSecurityAlert
from accounts.models import LoginRecord, RefreshToken, Session, User
from accounts.models.login_record import network_of
from accounts.models.session import Client
from accounts.names import canonical_identifier
from accounts.services.transactions import in_transaction
from events.envelope import Actor
from events.outbox.publish import publish


class InvalidCredentials(Refused):
    """No user has this name together with this password."""


class AccountSuspended(Refused):
    """The password is right, and the user is barred."""


class AccountPendingDeletion(Refused):
    """The password is right, and the account waits for its deletion."""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session and the one refresh token that continues it, in clear: for the answer alone."""

    session: Session
    refresh_token: str

    def refresh_expires_in(self, now: datetime) -> int:
        """Seconds for which the refresh token may be used."""
        idle = timedelta(seconds=AccountsSettings.current().refresh_idle_s)
        return int(min(idle, self.session.expires_at - now).total_seconds())


def authenticate(*, identifier: str, password: str, client: Client, now: datetime) -> User:
    """Whose name and password these are, whatever the user's status. A failure is counted and goes to the login log.

    Raises InvalidCredentials; RateLimited before the password is looked at.
    """
    user = selectors.user_named(identifier)
    account = str(user.pk) if user else canonical_identifier(identifier) or ""
    _count(account, user, client, now)
    if passwords.is_right(password, user.password if user else None) and user:
        return user
    reason = LoginRecord.Reason.WRONG_PASSWORD if user else LoginRecord.Reason.UNKNOWN_NAME
    record_failure(user, account, reason, client, now)
    raise InvalidCredentials


def verify(*, user: User, password: str, client: Client, now: datetime) -> None:
    """Look at the password of who is signed in; counted like a sign-in. Raises InvalidCredentials, RateLimited."""
    account = str(user.pk)
    _count(account, user, client, now)
    if not passwords.is_right(password, user.password):
        record_failure(user, account, LoginRecord.Reason.WRONG_PASSWORD, client, now)
        raise InvalidCredentials


def refuse_unless_active(user: User) -> None:
    """Raises what tells the user, who has given the right password, why signing in is not possible."""
    if user.status == User.Status.SUSPENDED:
        raise AccountSuspended
    if user.status == User.Status.PENDING_DELETION:
        raise AccountPendingDeletion
    if not user.is_active:
        raise InvalidCredentials


def locked_as_verified(known: User) -> User:
    """The user, locked. Raises InvalidCredentials if the password that was verified is not the user's any more."""
    locked = User.objects.locked([known.pk])
    if not locked or locked[0].password != known.password:
        raise InvalidCredentials
    return locked[0]


def open_session(user: User, client: Client, now: datetime) -> OpenSession:
    """A new session, in the caller's transaction."""
    for_s = AccountsSettings.current().refresh_absolute_s
    session = Session.objects.open(user=user, client=client, now=now, for_s=for_s)
    return OpenSession(session, first_token(session, now))


def first_token(session: Session, now: datetime) -> str:
    """A refresh token that follows from no other, in the caller's transaction."""
    token = opaque.random_token()
    RefreshToken.objects.create(hash=opaque.digest(token), session=session, created_at=now)
    return token


def failures_of(user: User, client: Client) -> Mapping[str, str]:
    """What a success begins anew: the counts of this account, never those of the address."""
    return {"login-pair": _pair(str(user.pk), client), "login-account": str(user.pk), "login-failures": str(user.pk)}


def record_failure(user: User | None, account: str, reason: str, client: Client, now: datetime) -> None:
    """One row of the login log and one log line, by the name's keyed hash."""
    record = LoginRecord.objects.create(
        user_id=user.pk if user else None,
        at=now,
        outcome=LoginRecord.Outcome.FAILURE,
        reason=reason,
        identifier_hash=opaque.keyed("identifier", account).hex(),
        device=client.device,
        ip=client.ip,
        network=network_of(client.ip),
    )
    observe.record_sign_in_failed(record)


def _count(account: str, user: User | None, client: Client, now: datetime) -> None:
    """Before the password is looked at, in the same way for a name that nobody has."""
    subjects = {"login-pair": _pair(account, client), "login-account": account, "login-failures": account}
    if client.counted:
        subjects["login-address"] = client.counted
    try:
        throttles.count(subjects)
    except throttles.RateLimited as limited:
        observe.record_rate_limited(quota=limited.over.name)
        if limited.over.name != "login-address" and _is_first_warning(account) and user:
            _warn(user, client, now)
        raise


def _pair(account: str, client: Client) -> str:
    return f"{account} {client.counted}"


def _is_first_warning(account: str) -> bool:
    try:
        throttles.count({"login-warning": account})
    except throttles.RateLimited:
        return False
    return True


@in_transaction
def _warn(user: User, client: Client, now: datetime) -> None:
    for locked in User.objects.locked([user.pk]):
        alert = UserSecurityAlert.of(locked, kind="login_blocked", at=now, client=client)
        publish(alert, actor=Actor("system"))
