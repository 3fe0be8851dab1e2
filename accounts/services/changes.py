"""A user becomes another than before: what differs is saved and published, once; nothing where nothing does.

Used by the services beside it, in their transactions, on a user who is locked.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError

from accounts import links, observe, opaque, throttles
from accounts.errors import Refused
from accounts.event_types import UserChanges, UserUpdated
from accounts.models import Session, User, WithheldUsername
from accounts.models.session import Client, SessionRevoked
from accounts.models.user import EMAIL_UNIQUE, USERNAME_UNIQUE
from accounts.names import EmailAddress, Username
from events.envelope import Actor
from events.outbox.publish import publish


class UsernameTaken(Refused):
    """Another user has this name, in one spelling or another, or nobody may take it (`withhold`)."""


class EmailTaken(Refused):
    """Another user has this address, in one spelling or another, or may have it back; it was asked for as `member`."""

    def __init__(self, member: str = "email") -> None:
        super().__init__()
        self.member = member


class Stale(Refused):
    """Somebody else was quicker: `version` is the one that is there now."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = version


# Which versions a change is meant for; None: whichever is there.
Expected = Collection[int] | None


def refuse_stale(version: int, expected: Expected) -> None:
    """Raises Stale if this version is none of those that are expected."""
    if expected is not None and version not in expected:
        raise Stale(version)


def locked_owner(session: Session, *, now: datetime) -> User:
    """The session's user, locked. Raises SessionRevoked if the user may not act any more."""
    user = next(iter(User.objects.locked([session.user_id])), None)
    if user is None:
        raise SessionRevoked
    refuse_ended(session, user, now=now)
    return user


def refuse_ended(session: Session, user: User, *, now: datetime) -> None:
    """Raises SessionRevoked if the session of this user, who is locked, has ended since it was found open.

    Who ends sessions locks the user: a thief's request that waited for the lock does nothing any more.
    """
    if not (user.is_active and Session.objects.alive(now=now).filter(pk=session.pk).exists()):
        raise SessionRevoked


def count_revealing(client: Client) -> None:
    """Before an answer tells whether a name is taken. Raises RateLimited."""
    if client.counted:
        try:
            throttles.count({"register-address": client.counted})
        except throttles.RateLimited as limited:
            observe.record_rate_limited(quota=limited.over.name)
            raise


def columns_of(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that stand for these members, of which names come in two forms."""
    columns: dict[str, Any] = {}
    for name, value in changes.items():
        if isinstance(value, Username | EmailAddress):
            columns |= {name: value.text, f"{name}_canonical": value.canonical}
        else:
            columns[name] = value
    return columns


def change(
    user: User, columns: Mapping[str, Any], *, actor: Actor, now: datetime, also: Mapping[str, Any] | None = None
) -> bool:
    """Set what differs, and publish user.updated; False where nothing does. Raises UsernameTaken, EmailTaken.

    `also` are members of the event that stand in other tables and have changed.
    """
    different = {name: value for name, value in columns.items() if getattr(user, name) != value}
    if not different and not also:
        return False
    for name, value in different.items():
        setattr(user, name, value)
    user.change(now=now)
    save(user, *different, "version", "updated_at")
    told = {name: value for name, value in different.items() if name in UserChanges.__struct_fields__}
    publish(UserUpdated.of(user, UserChanges(**told, **(also or {}))), actor=actor)
    return True


def save(user: User, *columns: str) -> None:
    """Write the columns, or a new row where none are named. Raises UsernameTaken, EmailTaken.

    Only the constraints can tell who of two comes first; looking beforehand could not.
    """
    try:
        user.save(update_fields=columns or None, force_insert=not columns)
    except IntegrityError as error:
        taken = {USERNAME_UNIQUE: UsernameTaken, EMAIL_UNIQUE: EmailTaken}.get(_constraint(error))
        if taken is None:
            raise
        raise taken from error
    # Not before: whoever gives the address up at this moment has done so by now, and may have it back.
    if (not columns or "email_canonical" in columns) and links.is_held(user.email_canonical, but_for=user):
        raise EmailTaken


def withhold(username_canonical: str) -> None:
    """Nobody takes this username, unless staff gives it to them."""
    WithheldUsername.objects.bulk_create([WithheldUsername(hash=_hash_of(username_canonical))], ignore_conflicts=True)


def refuse_withheld(user: User) -> None:
    """After the user has taken a username. Raises UsernameTaken."""
    if WithheldUsername.objects.filter(hash=_hash_of(user.username_canonical)).exists():
        raise UsernameTaken


def _hash_of(username_canonical: str) -> bytes:
    return opaque.keyed("withheld-username", username_canonical)


def _constraint(error: IntegrityError) -> str:
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or ""
