"""An account is barred, let in again, deleted after a grace, restored, or deleted at once.

Called by `api.profile`, `api.lifecycle`, `api.administration_lifecycle`, the admin and the `users` command; `tasks`
ends what is due. Each move ends all access in its transaction; `routes` says who is told, and who clears up after a
deletion.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from accounts import links
from accounts.conf import AccountsSettings
from accounts.event_types import UserDeleted, UserStatusChanged
from accounts.links import Found
from accounts.models import Link, LoginRecord, Session, User
from accounts.models.session import Client, SessionRevoked
from accounts.models.user import STATUS_COLUMNS, InvalidState
from accounts.selectors import UserNotFound
from accounts.services import staff
from accounts.services.changes import refuse_ended
from accounts.services.credentials import (
    AccountSuspended,
    authenticate,
    forget_failures,
    locked_as_verified,
    refusals_logged,
    refuse_unless_active,
    refuse_unverified,
)
from accounts.services.opening import OpenSession, open_session, open_session_without_password
from accounts.services.transactions import in_transaction
from events.envelope import Actor
from events.outbox.publish import publish

# So many at a time are due; the next round takes the others.
DUE_MOST = 100
REQUESTED = "requested by the user"
RESTORED = "restored by the user"
SUSPENSION_OVER = "the suspension is over"
GRACE_OVER = "the time to restore the account is over"


@in_transaction
def suspend(*, user_id: UUID, reason: str, until: datetime | None, by: User | None, now: datetime) -> User:
    """Bar the user, for ever or until then, and end all access. Publishes user.status_changed.

    Raises UserNotFound, NotAllowed, LastAdmin, InvalidState.
    """
    user = staff.locked_to_leave(user_id, by=by)
    former = user.suspend(reason=reason, until=until, now=now)
    links.void_all(user)
    _moved(user, former, staff.actor_of(by), now)
    return user


@in_transaction
def reactivate(*, user_id: UUID, reason: str, by: User | None, now: datetime) -> User:
    """End the suspension. Publishes user.status_changed. Raises UserNotFound, NotAllowed, InvalidState."""
    user = staff.locked(user_id, by=by)
    former = user.reactivate(reason=reason, now=now)
    _moved(user, former, staff.actor_of(by), now)
    return user


@in_transaction
def request_deletion(*, session: Session, now: datetime) -> User:
    """The user leaves: all access ends, and after DELETION_GRACE_S the account. Publishes user.status_changed.

    Raises LastAdmin; SessionRevoked if the session's user may not act any more.
    """
    try:
        user = staff.locked_to_leave(session.user_id, by=None)
    except UserNotFound:
        raise SessionRevoked from None
    refuse_ended(session, user, now=now)
    _leave(user, REQUESTED, Actor("user", str(user.pk)), now)
    return user


@in_transaction
def delete(*, user_id: UUID, reason: str, by: User | None, now: datetime) -> User:
    """As `request_deletion`, by somebody else. Raises UserNotFound, NotAllowed, LastAdmin, InvalidState."""
    user = staff.locked_to_leave(user_id, by=by)
    _leave(user, reason, staff.actor_of(by), now)
    return user


@in_transaction
def delete_immediately(*, user_id: UUID, reason: str, by: User | None, now: datetime) -> User:
    """The end of the account, without a way back. Publishes user.deleted.

    Raises UserNotFound, NotAllowed, LastAdmin.
    """
    user = staff.locked_to_leave(user_id, by=by)
    _delete(user, reason, staff.actor_of(by), now)
    return user


@in_transaction
def restore(*, user_id: UUID, reason: str, by: User | None, now: datetime) -> User:
    """Take the deletion back. Publishes user.status_changed. Raises UserNotFound, NotAllowed, InvalidState."""
    user = staff.locked(user_id, by=by)
    _restore(user, reason, staff.actor_of(by), now)
    return user


def restore_by_link(*, token: str, client: Client, now: datetime) -> OpenSession:
    """Take the deletion back by the link from its mail, and open a session. Publishes user.status_changed.

    Raises InvalidLink; also for one who would be suspended again.
    """
    return _restore_by_link(links.find(token, Link.Purpose.RESTORE, now=now), client, now)


def restore_by_password(*, identifier: str, password: str, client: Client, now: datetime) -> OpenSession:
    """Take the deletion back by name and password, and open a session. Publishes user.status_changed.

    Raises InvalidCredentials, RateLimited; after the right password AccountSuspended, InvalidState.
    """
    known = authenticate(identifier=identifier, password=password, client=client, now=now)
    with refusals_logged(known, client, now, LoginRecord.Reason.NOT_RESTORED):
        refuse_unverified(known)
        return _restore_by_password(known, client, now)


def suspended_until(now: datetime) -> Sequence[UUID]:
    """Those whose suspension is over, the longest first: for `end_suspension`, each by itself."""
    over = User.objects.filter(status=User.Status.SUSPENDED, status_until__lte=now).order_by("status_until")
    return list(over.values_list("pk", flat=True)[:DUE_MOST])


def leaving_until(now: datetime) -> Sequence[UUID]:
    """Those whose grace is over, the longest first: for `end_grace`, each by itself."""
    over = User.objects.filter(status=User.Status.PENDING_DELETION, delete_after__lte=now).order_by("delete_after")
    return list(over.values_list("pk", flat=True)[:DUE_MOST])


@in_transaction
def end_suspension(user_id: UUID, *, now: datetime) -> None:
    """Let the user in again, if the suspension is over. Publishes user.status_changed."""
    for user in User.objects.locked([user_id]):
        # Meanwhile it may have been prolonged, or ended.
        if user.status == User.Status.SUSPENDED and user.status_until and user.status_until <= now:
            former = user.reactivate(reason=SUSPENSION_OVER, now=now)
            _moved(user, former, Actor("system"), now)


@in_transaction
def end_grace(user_id: UUID, *, now: datetime) -> None:
    """Delete the user, if the grace is over. Publishes user.deleted."""
    for user in User.objects.locked([user_id]):
        if user.status == User.Status.PENDING_DELETION and user.delete_after and user.delete_after <= now:
            _delete(user, GRACE_OVER, Actor("system"), now)


@in_transaction
def _restore_by_link(link: Found, client: Client, now: datetime) -> OpenSession:
    user = links.use(link)
    if user.former_status != User.Status.ACTIVE:
        raise links.InvalidLink
    return _restore_and_open(user, open_session_without_password(user, client, now), now)


@in_transaction
def _restore_by_password(known: User, client: Client, now: datetime) -> OpenSession:
    user = locked_as_verified(known)
    if user.status != User.Status.PENDING_DELETION:
        refuse_unless_active(user)
        raise InvalidState(user.status)
    if user.former_status != User.Status.ACTIVE:
        # Barred before the deletion is barred after it.
        raise AccountSuspended
    forget_failures(user, client)
    return _restore_and_open(user, open_session(user, client, now), now)


def _restore_and_open(user: User, opened: OpenSession, now: datetime) -> OpenSession:
    _restore(user, RESTORED, Actor("user", str(user.pk)), now)
    return opened


def _restore(user: User, reason: str, actor: Actor, now: datetime) -> None:
    former = user.restore(reason=reason, now=now)
    links.void_all(user, but_for=[Link.Purpose.UNDO_EMAIL])
    _save_and_tell(user, former, actor)


def _leave(user: User, reason: str, actor: Actor, now: datetime) -> None:
    grace = timedelta(seconds=AccountsSettings.current().deletion_grace_s)
    former = user.leave(reason=reason, delete_after=now + grace, now=now)
    links.void_all(user, but_for=links.OUTLIVING)
    _moved(user, former, actor, now)


def _delete(user: User, reason: str, actor: Actor, now: datetime) -> None:
    user.delete_for_good(reason=reason, now=now)
    links.void_all(user)
    Session.objects.filter(user=user).end(now=now)
    user.save(update_fields=STATUS_COLUMNS)
    publish(UserDeleted(user_id=user.pk, version=user.version, at=now), actor=actor)


def _moved(user: User, former: str, actor: Actor, now: datetime) -> None:
    """No session outlives a move: who was let in again signs in again."""
    Session.objects.filter(user=user).end(now=now)
    _save_and_tell(user, former, actor)


def _save_and_tell(user: User, former: str, actor: Actor) -> None:
    user.save(update_fields=STATUS_COLUMNS)
    publish(UserStatusChanged.of(user, former=former), actor=actor)
