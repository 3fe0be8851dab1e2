"""Who it is: a name and a password looked at, tries counted, failures kept.

Called by `sign_in`, `registration`, `passwords` and `lifecycle`; by `administration`, which unlocks, and for the counts
of failures that it shows. Whatever is wrong costs one hash run and gets one and the same refusal; what is special about
an account is told only to who knows its password.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from accounts import observe, opaque, passwords, selectors, throttles
from accounts.conf import AccountsSettings
from accounts.errors import Refused
from accounts.event_types import UserSecurityAlert
from accounts.models import LoginRecord, Session, User
from accounts.models.login_record import network_of
from accounts.models.session import Client
from accounts.names import TYPED_MOST, canonical_identifier
from accounts.services.transactions import in_transaction
from events.envelope import Actor
from events.outbox.publish import publish


class InvalidCredentials(Refused):
    """No user has this name together with this password."""


class AccountSuspended(Refused):
    """The password is right, and the user is barred."""


class AccountPendingDeletion(Refused):
    """The password is right, and the account waits for its deletion."""


def authenticate(*, identifier: str, password: str, client: Client, now: datetime) -> User:
    """Whose name and password these are, whatever the user's status. A failure goes to the login log.

    Raises InvalidCredentials; RateLimited before the password is looked at.
    """
    user = selectors.user_named(identifier)
    # By whichever of a user's names it was tried: it is one account. Names that can be nobody's are counted as typed.
    typed = canonical_identifier(identifier) or identifier[:TYPED_MOST]
    account = _account_of(user) if user else f"name {typed}"
    _count(_subjects(account, client), user, client, now)
    if passwords.is_right(password, user.password if user else None) and user:
        return user
    reason = LoginRecord.Reason.WRONG_PASSWORD if user else LoginRecord.Reason.UNKNOWN_NAME
    _record_failure(user, account, reason, client, now)
    raise InvalidCredentials


def authenticate_again(*, session: Session, password: str, client: Client, now: datetime) -> None:
    """Whether who is signed in knows the password. Raises InvalidCredentials, RateLimited.

    Tries are counted by session: a thief of one has few, and strangers who guess at the account take none of them.
    """
    user = session.user
    _count(_subjects_of(session), user, client, now)
    if not passwords.is_right(password, user.password):
        _record_failure(user, _account_of(user), LoginRecord.Reason.WRONG_PASSWORD, client, now)
        raise InvalidCredentials


def refuse_unless_active(user: User) -> None:
    """Raises what tells the user, who has given the right password, why signing in is not possible."""
    if user.status == User.Status.SUSPENDED:
        raise AccountSuspended
    if user.status == User.Status.PENDING_DELETION:
        raise AccountPendingDeletion
    if not user.is_active:
        raise InvalidCredentials


@contextmanager
def refusals_logged(
    user: User, client: Client, now: datetime, reason: str = LoginRecord.Reason.NOT_ACTIVE
) -> Iterator[None]:
    """What is refused within, after the right password, is a row in the login log, too."""
    try:
        yield
    except Refused:
        _record_failure(user, _account_of(user), reason, client, now)
        raise


def refuse_to_sign_in(user: User, client: Client, now: datetime) -> None:
    """Raises as `refuse_unless_active` and `refuse_unverified` do, with a row in the login log."""
    with refusals_logged(user, client, now):
        refuse_unless_active(user)
        refuse_unverified(user)


def refuse_unless_staff(user: User, client: Client, now: datetime) -> None:
    """Raises InvalidCredentials for who may not enter the admin, with a row in the login log.

    Nobody learns there that the password was right, not even by counts that begin anew.
    """
    with refusals_logged(user, client, now):
        if not (user.is_active and user.is_staff):
            raise InvalidCredentials


def refuse_unverified(user: User) -> None:
    """Raises InvalidCredentials where registration reveals no address and nobody has shown this one to be theirs.

    Who signed up with another's address would see by a right password whether it was free.
    """
    if not (user.email_verified or AccountsSettings.current().registration_reveals_email):
        raise InvalidCredentials


def locked_as_verified(known: User) -> User:
    """The user, locked. Raises InvalidCredentials if the password that was verified is not the user's any more."""
    locked = User.objects.locked([known.pk])
    if not locked or locked[0].password != known.password:
        raise InvalidCredentials
    return locked[0]


def forget_failures(user: User, client: Client, session: Session | None = None) -> None:
    """Begin the account's and the session's counts anew, never the address's; in the caller's transaction."""
    throttles.forget(_subjects(_account_of(user), client))
    if session:
        throttles.forget(_subjects_of(session))


def forget_all_failures(user: User, *, now: datetime) -> None:
    """Begin the account's counts anew, from wherever somebody has failed lately; in the caller's transaction."""
    longest = max(window.within_s for window in AccountsSettings.current().quotas["login-pair"])
    recent = LoginRecord.objects.filter(user_id=user.pk, outcome=LoginRecord.Outcome.FAILURE)
    addresses = recent.filter(at__gt=now - timedelta(seconds=longest)).values_list("ip", flat=True).distinct()
    account = _account_of(user)
    throttles.forget({"login-account": account, "login-failures": account, "login-warning": account})
    for ip in addresses:
        throttles.forget({"login-pair": f"{account} {Client(device='', ip=ip).counted}"})


def failed_logins_of(user_ids: Sequence[UUID]) -> Mapping[UUID, int]:
    """How many sign-ins of each have failed since the last that did not; those with none are not told."""
    return throttles.counts("login-failures", {f"user {user_id}": user_id for user_id in user_ids})


def _account_of(user: User) -> str:
    return f"user {user.pk}"


def _subjects(account: str, client: Client) -> Mapping[str, str]:
    return {"login-pair": f"{account} {client.counted}", "login-account": account, "login-failures": account}


def _subjects_of(session: Session) -> Mapping[str, str]:
    return {"login-pair": f"session {session.pk}", "login-failures": f"session {session.pk}"}


def _count(subjects: Mapping[str, str], user: User | None, client: Client, now: datetime) -> None:
    """Before the password is looked at, in the same way for a name that nobody has."""
    address = {"login-address": client.counted} if client.counted else {}
    try:
        throttles.count({**subjects, **address})
    except throttles.RateLimited as limited:
        observe.record_rate_limited(quota=limited.over.name)
        if limited.over.name != "login-address" and _is_first_warning(subjects["login-failures"]) and user:
            _warn(user, client, now)
        raise


def _is_first_warning(subject: str) -> bool:
    try:
        throttles.count({"login-warning": subject})
    except throttles.RateLimited:
        return False
    return True


@in_transaction
def _warn(user: User, client: Client, now: datetime) -> None:
    for locked in User.objects.locked([user.pk]):
        if locked.status == User.Status.DELETED:
            continue
        alert = UserSecurityAlert.of(locked, kind="login_blocked", at=now, client=client)
        publish(alert, actor=Actor("system"))


def _record_failure(user: User | None, account: str, reason: str, client: Client, now: datetime) -> None:
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
