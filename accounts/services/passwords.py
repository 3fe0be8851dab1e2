"""A password is changed by who knows it, set by who reads the user's mail, or by the operator.

Called by `api.passwords` and `changepassword`. The event goes on in `events.outbox.relay`; `routes` says who tells the
user.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from accounts import links, passwords
from accounts.event_types import PasswordHow, UserPasswordChanged
from accounts.links import Found
from accounts.models import Link, RefreshToken, Session, User
from accounts.models.session import Client
from accounts.names import EmailAddress
from accounts.outside import notices
from accounts.selectors import UserNotFound
from accounts.services import staff
from accounts.services.changes import change, refuse_ended
from accounts.services.credentials import (
    authenticate_again,
    forget_all_failures,
    forget_failures,
    locked_as_verified,
)
from accounts.services.opening import OpenSession, first_token
from accounts.services.transactions import in_transaction
from events.envelope import Actor
from events.outbox.publish import publish


def change_password(
    *, session: Session, current_password: str, new_password: str, client: Client, now: datetime
) -> OpenSession:
    """Set the password, end all other sessions and renew this one. Publishes user.password_changed.

    `new_password` is one that `refuse_weak` let pass. Raises FieldRefused for one with the user's names, RateLimited,
    InvalidCredentials; SessionRevoked if the session ended meanwhile.
    """
    passwords.refuse_personal(new_password, _names_of(session.user))
    authenticate_again(session=session, password=current_password, client=client, now=now)
    return _change(session, session.user, passwords.hashed(new_password), client, now)


def request_reset(*, email: EmailAddress, client: Client) -> None:
    """Owe a mail with a link to whoever has this address, if anyone: the same is done for one that nobody has."""
    notices.request_by_address(kind="reset", email=email, client=client)


def confirm_reset(*, token: str, new_password: str, client: Client, now: datetime) -> None:
    """Set the password of the link's user and end all sessions. Publishes user.password_changed.

    The link shows the address to be the user's, too: where that is news, user.updated comes first.

    Raises InvalidLink; FieldRefused for a weak password, and then the link may be used again.
    """
    link = links.find(token, Link.Purpose.RESET, Link.Purpose.INVITE, now=now)
    user = User.objects.filter(pk=link.user_id).first()
    if user is None:
        raise links.InvalidLink
    # Not before: nobody without a link has the lists searched.
    passwords.refuse_weak(new_password)
    passwords.refuse_personal(new_password, _names_of(user))
    _reset(link, passwords.hashed(new_password), client, now)


def set_by_operator(*, user_id: UUID, new_password: str, now: datetime) -> None:
    """Set the password and end all sessions, on the operator's word. Publishes user.password_changed.

    `new_password` is one that `refuse_weak` let pass. Raises UserNotFound; FieldRefused as `change_password`.
    """
    user = User.objects.filter(pk=user_id).exclude(status=User.Status.DELETED).first()
    if user is None:
        raise UserNotFound
    passwords.refuse_personal(new_password, _names_of(user))
    _set_by_operator(user_id, passwords.hashed(new_password), now)


@in_transaction
def _set_by_operator(user_id: UUID, password_hash: str, now: datetime) -> None:
    user = staff.locked(user_id, by=None)
    forget_all_failures(user, now=now)
    _end_and_set(user, password_hash, "operator", Client(device="", ip=None), now)


@in_transaction
def _change(session: Session, known: User, password_hash: str, client: Client, now: datetime) -> OpenSession:
    user = locked_as_verified(known)
    refuse_ended(session, user, now=now)
    # Locks the session: a refresh at this moment has made its token, which goes too, or finds none of its own.
    Session.objects.renew(session, now=now)
    session.user = user
    Session.objects.filter(user=user).exclude(pk=session.pk).end(now=now)
    # Whoever else has this session's tokens: none of them continues it.
    RefreshToken.objects.filter(session=session).delete()
    renewed = OpenSession(session, first_token(session, now))
    forget_failures(user, client, session)
    _set(user, password_hash, "change", client, now)
    return renewed


@in_transaction
def _reset(link: Found, password_hash: str, client: Client, now: datetime) -> None:
    user = links.use(link)
    forget_failures(user, client)
    # Whoever has the link reads the mail of the address.
    change(user, {"email_verified": True}, actor=Actor("user", str(user.pk)), now=now)
    _end_and_set(user, password_hash, "reset", client, now)


def _end_and_set(user: User, password_hash: str, how: PasswordHow, client: Client, now: datetime) -> None:
    Session.objects.filter(user=user).end(now=now)
    _set(user, password_hash, how, client, now)


def _set(user: User, password_hash: str, how: PasswordHow, client: Client, now: datetime) -> None:
    user.password = password_hash
    user.change(now=now)
    user.save(update_fields=["password", "version", "updated_at"])
    links.void_all(user, but_for=links.OUTLIVING)
    changed = UserPasswordChanged(
        user_id=user.pk, version=user.version, how=how, at=now, device=client.device, ip=client.ip
    )
    publish(changed, actor=Actor("system") if how == "operator" else Actor("user", str(user.pk)))


def _names_of(user: User) -> Sequence[str]:
    return user.username, user.email
