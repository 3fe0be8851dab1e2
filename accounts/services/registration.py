"""A new user: by registration, or by the operator as a superuser.

Called by `api.registration` and `createsuperuser`. The event goes on in `events.outbox.relay`; `routes` says who
welcomes the user.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from accounts.errors import Refused
from accounts.event_types import UserRegistered
from accounts.models import Session, User
from accounts.models.session import Client
from accounts.models.user import EMAIL_UNIQUE, USERNAME_UNIQUE
from accounts.names import EmailAddress, Username
from accounts.passwords import hashed
from events.envelope import Actor
from events.outbox.publish import publish


class UsernameTaken(Refused):
    """Another user has this name, in one spelling or another."""


class EmailTaken(Refused):
    """Another user has this address, in one spelling or another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """Who is to be made: names by the rules of `names`, the password one that `passwords.refuse_weak` let pass."""

    username: Username
    email: EmailAddress
    display_name: str = ""
    locale: str = "en"


def register(*, new: NewUser, password: str, client: Client, now: datetime) -> Session:
    """Make a user who signed up, with a first session. Publishes user.registered. Raises UsernameTaken, EmailTaken."""
    # Hashing takes long: no transaction and no lock is open meanwhile.
    user = _unsaved(new, hashed(password), now)
    return _register(user, client, now)


def create_superuser(*, new: NewUser, password: str, now: datetime) -> User:
    """Make a superuser, on the operator's word. Publishes user.registered. Raises UsernameTaken, EmailTaken."""
    user = _unsaved(new, hashed(password), now)
    user.is_staff = user.is_superuser = True
    return _create_superuser(user)


@transaction.atomic
def _register(user: User, client: Client, now: datetime) -> Session:
    _insert(user)
    session = Session.objects.open(user=user, client=client, now=now)
    publish(_registered(user), actor=Actor("user", str(user.id)))
    return session


@transaction.atomic
def _create_superuser(user: User) -> User:
    _insert(user)
    publish(_registered(user), actor=Actor("system"))
    return user


def _unsaved(new: NewUser, password_hash: str, now: datetime) -> User:
    return User(
        username=new.username.text,
        username_canonical=new.username.canonical,
        email=new.email.text,
        email_canonical=new.email.canonical,
        display_name=new.display_name,
        locale=new.locale,
        password=password_hash,
        created_at=now,
        updated_at=now,
    )


def _insert(user: User) -> None:
    """Only the constraints can tell who of two comes first; looking beforehand could not."""
    try:
        user.save(force_insert=True)
    except IntegrityError as error:
        taken = {USERNAME_UNIQUE: UsernameTaken, EMAIL_UNIQUE: EmailTaken}.get(_constraint(error))
        if taken is None:
            raise
        raise taken from error


def _constraint(error: IntegrityError) -> str:
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or ""


def _registered(user: User) -> UserRegistered:
    return UserRegistered(
        user_id=user.id,
        version=user.version,
        username=user.username,
        email=user.email,
        display_name=user.display_name,
        locale=user.locale,
        registered_at=user.created_at,
    )
