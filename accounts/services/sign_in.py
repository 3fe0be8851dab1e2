"""Signing in with a name and a password.

Called by `api.sign_in` and by the admin's sign-in page (`admin_sign_in`). Whatever is wrong costs one hash run
and gets one and the same refusal; what is special about an account is told only to who knows its password.
"""

from datetime import datetime

from django.db import transaction

from accounts import passwords, selectors
from accounts.errors import Refused
from accounts.event_types import UserLoggedIn
from accounts.hashers import turn_to_hash
from accounts.models import Session, User
from accounts.models.session import Client
from events.envelope import Actor
from events.outbox.publish import publish


class InvalidCredentials(Refused):
    """No user has this name together with this password."""


class AccountSuspended(Refused):
    """The password is right, and the user is barred."""


class AccountPendingDeletion(Refused):
    """The password is right, and the account waits for its deletion."""


def sign_in(*, identifier: str, password: str, client: Client, now: datetime) -> Session:
    """Open a session. Publishes user.logged_in.

    Raises InvalidCredentials; after the right password, AccountSuspended or AccountPendingDeletion.
    """
    # Verifying and hashing take long: no transaction and no lock is open meanwhile.
    known = verify_password(identifier=identifier, password=password)
    newer_hash = passwords.hashed(password) if passwords.needs_upgrade(known.password) else None
    return _open_session(known, newer_hash, client, now)


def verify_password(*, identifier: str, password: str) -> User:
    """Whose name and password these are, whatever the user's status. Raises InvalidCredentials."""
    # In this order, so that who waits for a turn holds none of the few database connections.
    with turn_to_hash():
        user = selectors.user_named(identifier)
        right = passwords.is_right(password, user.password if user else None)
    if user is None or not right:
        raise InvalidCredentials
    return user


def refuse_unless_active(user: User) -> None:
    """Raises what tells the user, who has given the right password, why signing in is not possible."""
    if user.status == User.Status.SUSPENDED:
        raise AccountSuspended
    if user.status == User.Status.PENDING_DELETION:
        raise AccountPendingDeletion
    if not user.is_active:
        raise InvalidCredentials


@transaction.atomic
def _open_session(known: User, newer_hash: str | None, client: Client, now: datetime) -> Session:
    locked = User.objects.locked([known.id])
    # The password that was verified may have been changed, or the user erased, since.
    if not locked or locked[0].password != known.password:
        raise InvalidCredentials
    user = locked[0]
    refuse_unless_active(user)
    if newer_hash:
        # A hash alone is no change of the user: this sign-in's event stands for it, and the version stays.
        user.password = newer_hash
        user.save(update_fields=["password"])
    session = Session.objects.open(user=user, client=client, now=now)
    publish(_logged_in(session), actor=Actor("user", str(user.id)))
    return session


def _logged_in(session: Session) -> UserLoggedIn:
    return UserLoggedIn(
        user_id=session.user.id,
        version=session.user.version,
        session_id=session.id,
        at=session.auth_time,
        device=session.device,
        ip=session.ip,
    )
