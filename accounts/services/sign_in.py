"""Signing in with a name and a password, and saying it again within a session.

Called by `api.sign_in` and `admin_sign_in`. The event goes on in `events.outbox.relay`; `routes` says what a sign-in
leads to.
"""

from datetime import datetime

from accounts import passwords
from accounts.event_types import UserLoggedIn
from accounts.models import Session, User
from accounts.models.session import Client
from accounts.services.changes import refuse_ended
from accounts.services.credentials import (
    InvalidCredentials,
    authenticate,
    authenticate_again,
    forget_failures,
    locked_as_verified,
    refuse_to_sign_in,
    refuse_unless_active,
    refuse_unless_staff,
)
from accounts.services.opening import OpenSession, open_session
from accounts.services.transactions import in_transaction
from events.envelope import Actor
from events.outbox.publish import publish


def sign_in(*, identifier: str, password: str, client: Client, now: datetime) -> OpenSession:
    """Open a session. Publishes user.logged_in.

    Raises InvalidCredentials, RateLimited; after the right password, AccountSuspended or AccountPendingDeletion.
    """
    # Verifying and hashing take long: no transaction and no lock is open meanwhile.
    known = authenticate(identifier=identifier, password=password, client=client, now=now)
    refuse_to_sign_in(known, client, now)
    return _sign_in(known, _newer_hash(known, password), client, now)


def sign_in_staff(*, identifier: str, password: str, client: Client, now: datetime, for_s: int) -> Session:
    """Open a session for the admin, which nothing continues after `for_s` seconds. Publishes user.logged_in.

    Raises InvalidCredentials, also for who is barred or no staff; RateLimited.
    """
    known = authenticate(identifier=identifier, password=password, client=client, now=now)
    refuse_unless_staff(known, client, now)
    return _sign_in_staff(known, _newer_hash(known, password), client, now, for_s)


def reauthenticate(*, session: Session, password: str, client: Client, now: datetime) -> Session:
    """The session, with `auth_time` now: its user has given the password.

    Raises InvalidCredentials, RateLimited; SessionRevoked if it ended meanwhile.
    """
    authenticate_again(session=session, password=password, client=client, now=now)
    return _reauthenticate(session, client, now)


@in_transaction
def _sign_in(known: User, newer_hash: str | None, client: Client, now: datetime) -> OpenSession:
    user = _verified(known, newer_hash)
    refuse_unless_active(user)
    opened = open_session(user, client, now)
    forget_failures(user, client)
    publish(UserLoggedIn.of(opened.session), actor=Actor("user", str(user.id)))
    return opened


@in_transaction
def _sign_in_staff(known: User, newer_hash: str | None, client: Client, now: datetime, for_s: int) -> Session:
    user = _verified(known, newer_hash)
    if not (user.is_active and user.is_staff):
        raise InvalidCredentials
    # A cookie goes on with it, no refresh token.
    session = Session.objects.open(user=user, client=client, now=now, for_s=for_s)
    forget_failures(user, client)
    publish(UserLoggedIn.of(session), actor=Actor("user", str(user.id)))
    return session


def _newer_hash(known: User, password: str) -> str | None:
    return passwords.hashed(password) if passwords.needs_upgrade(known.password) else None


def _verified(known: User, newer_hash: str | None) -> User:
    """The user, locked, with the hash in today's parameters."""
    user = locked_as_verified(known)
    if newer_hash:
        # A hash alone is no change of the user: this sign-in's event stands for it, and the version stays.
        user.password = newer_hash
        user.save(update_fields=["password"])
    return user


@in_transaction
def _reauthenticate(session: Session, client: Client, now: datetime) -> Session:
    user = locked_as_verified(session.user)
    refuse_ended(session, user, now=now)
    Session.objects.reauthenticate(session, now=now)
    forget_failures(user, client, session)
    return session
