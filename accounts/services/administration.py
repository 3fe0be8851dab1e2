"""What staff is told and changes of a user, beside the status (`lifecycle`) and the sessions (`sessions`).

Called by `api.administration`, `api.administration_lifecycle`, the admin and the `users` command. `by` is who acts:
`staff` has the rules. Nobody sets or sees another's password: a link is mailed.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import Group

from accounts import user_listing
from accounts.models import SecurityRecord, User
from accounts.outside import notices
from accounts.services import addresses, security_log, staff
from accounts.services.changes import Expected, change, columns_of, refuse_stale
from accounts.services.credentials import failed_logins_of, forget_all_failures
from accounts.services.transactions import in_transaction

# Who may log in to the admin, and who may do everything: a superuser's to say.
RIGHTS = {"is_staff", "is_superuser"}
_COLUMNS = (
    "id", "username", "email", "email_verified", "status", "display_name", "locale", "time_zone", "created_at",
    "updated_at", "version", "is_staff", "is_superuser", "status_reason", "status_until", "delete_after",
)  # fmt: skip
MEMBERS = [*_COLUMNS, "last_login_at", "groups", "failed_logins"]


def told_to_staff(users: Sequence[User]) -> list[dict[str, Any]]:
    """The MEMBERS of each user; what stands in other tables is read once for all of them."""
    ids = [user.pk for user in users]
    last_logins, groups = user_listing.last_logins_of(ids), user_listing.groups_of(ids)
    failed = failed_logins_of(ids)
    return [
        {name: getattr(user, name) for name in _COLUMNS}
        | {
            "last_login_at": last_logins.get(user.pk),
            "groups": groups.get(user.pk, []),
            "failed_logins": failed.get(user.pk, 0),
        }
        for user in users
    ]


@in_transaction
def change_user(
    *, user_id: UUID, changes: Mapping[str, Any], expected: Expected, by: User | None, now: datetime
) -> User:
    """The user, with these members changed: those of the profile, `email`, `groups`, and for superusers the RIGHTS.

    Publishes user.updated where one differs. Another address is not verified until its link is used; the former one is
    told. Raises UserNotFound, NotAllowed, LastAdmin, Stale, UsernameTaken, EmailTaken; FieldRefused for a group that is
    gone.
    """
    user = _locked(user_id, changes, by)
    refuse_stale(user.version, expected)
    columns = columns_of({name: value for name, value in changes.items() if name != "groups"})
    groups = _set_groups(user, changes["groups"], by) if "groups" in changes else {}
    if "email" in changes and columns["email"] != user.email:
        _readdress(user, by, now)
        columns["email_verified"] = False
    change(user, columns, actor=staff.actor_of(by), now=now, also=groups)
    return user


@in_transaction
def unlock(*, user_id: UUID, reason: str, by: User | None, now: datetime) -> None:
    """Begin the counts of failed sign-ins anew. Raises UserNotFound, NotAllowed."""
    user = staff.locked(user_id, by=by)
    forget_all_failures(user, now=now)
    security_log.note_staff(SecurityRecord.Kind.UNLOCKED, user.pk, by=by, now=now, reason=reason)


@in_transaction
def send_reset(*, user_id: UUID, by: User | None, now: datetime) -> None:
    """Owe the user a mail with a link that sets a new password. Raises UserNotFound, NotAllowed."""
    user = staff.locked(user_id, by=by)
    notices.request(kind="reset", user_id=user.pk, key=f"reset/{uuid4()}", facts={})
    security_log.note_staff(SecurityRecord.Kind.RESET_REQUESTED, user.pk, by=by, now=now)


def _locked(user_id: UUID, changes: Mapping[str, Any], by: User | None) -> User:
    leaves = any(changes.get(right) is False for right in RIGHTS)
    user = (staff.locked_to_leave if leaves else staff.locked)(user_id, by=by)
    if changes.keys() & RIGHTS:
        staff.refuse_unless_superuser(by)
    return user


def _set_groups(user: User, groups: Collection[Group], by: User | None) -> dict[str, list[str]]:
    """The event's member, where the groups are others than before."""
    before, wanted = set(user.groups.all()), set(groups)
    if before == wanted:
        return {}
    changed = staff.grantable(before ^ wanted, by=by)
    user.groups.set(groups)
    return {"groups": sorted(group.name for group in [*(before & wanted), *(one for one in changed if one in wanted)])}


def _readdress(user: User, by: User | None, now: datetime) -> None:
    addresses.give_up(user, now=now)
    if user.status == User.Status.PENDING_DELETION:
        # A link that verifies would be no use before the account is restored.
        addresses.owe_way_back(user)
    else:
        # Who was invited to another mailbox has no password yet.
        kind = "verify" if user.has_usable_password() else "invited"
        notices.request(kind=kind, user_id=user.pk, key=f"{kind}/{uuid4()}", facts={})
    security_log.note_staff(SecurityRecord.Kind.EMAIL_CHANGED, user.pk, by=by, now=now)
