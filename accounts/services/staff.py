"""Who may do what to whom: the rules of staff, and the one way to lock a user whom somebody else changes.

Used by the services that staff reach by the API, the admin or the command line. Whether they have the permission at
all is the door's to ask; what holds whoever has it is here.
"""

from collections.abc import Collection
from uuid import UUID

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

from accounts.errors import FieldRefused, Refused
from accounts.models import Session, User
from accounts.models.session import SessionRevoked
from accounts.selectors import UserNotFound
from events.envelope import Actor


class NotAllowed(Refused):
    """Not to oneself, not to who has rights that one lacks, and no such right to anyone."""


class LastAdmin(Refused):
    """There would be no active superuser any more."""


def actor_of(by: User | None) -> Actor:
    """Who is told as the actor: staff, or the system where it is nobody's word (the command line, a due date)."""
    return Actor("staff", str(by.pk)) if by else Actor("system")


def locked(user_id: UUID, *, by: User | None) -> User:
    """The user, locked, and with them who acts. Raises UserNotFound, NotAllowed, SessionRevoked."""
    return _allowed(_locked_with({user_id}, by), user_id, by)


def locked_to_leave(user_id: UUID, *, by: User | None) -> User:
    """As `locked`, who is about to be no active superuser any more. Raises LastAdmin too.

    All active superusers are locked together: of two who would be the last, the second sees that the first has gone.
    """
    admins = User.objects.filter(is_superuser=True, is_staff=True, status=User.Status.ACTIVE)
    is_admin = admins.filter(pk=user_id).exists()
    found = _locked_with({user_id, *admins.values_list("pk", flat=True)} if is_admin else {user_id}, by)
    user = _allowed(found, user_id, by)
    others = (one for one in found if one.pk != user_id)
    if _is_admin(user) and not any(map(_is_admin, others)):
        raise LastAdmin
    return user


def refuse_barred(by: User | None) -> None:
    """Lock who is about to act on nobody who is there yet. Raises NotAllowed, SessionRevoked."""
    if by:
        _acting(User.objects.locked([by.pk]), by)


def refuse_unless_superuser(by: User | None) -> None:
    """Raises NotAllowed for staff, who are locked, unless they may do everything."""
    if not _is_above_all(by):
        raise NotAllowed


def grantable(groups: Collection[Group], *, by: User | None) -> list[Group]:
    """These groups, which nobody renames or deletes before the transaction ends: events tell their names.

    Raises NotAllowed for one that who grants it, and is locked, is not in; FieldRefused for one that is gone.
    """
    if by and not _is_above_all(by) and not set(groups) <= set(by.groups.all()):
        raise NotAllowed
    ids = {group.pk for group in groups}
    found = list(Group.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True))
    if len(found) < len(ids):
        raise FieldRefused("unknown_group", "There is no such group.")
    return found


def may_change(by: User, user: User) -> bool:
    """Not oneself; unless being a superuser, neither one nor who has a permission that one lacks.

    Who could give another administrator's account a new address could have its password link mailed there.
    """
    if by.pk == user.pk or by.is_superuser:
        return by.pk != user.pk
    return not user.is_superuser and _rights_of(user) <= by.get_all_permissions()


def _rights_of(user: User) -> set[str]:
    """Also of one who is barred, which Django's own answer leaves out."""
    of_user = Permission.objects.filter(Q(user=user) | Q(group__user=user))
    return {f"{app}.{name}" for app, name in of_user.values_list("content_type__app_label", "codename")}


def _locked_with(ids: Collection[UUID], by: User | None) -> list[User]:
    return User.objects.locked([*ids, by.pk] if by else list(ids))


def _allowed(found: Collection[User], user_id: UUID, by: User | None) -> User:
    acting = _acting(found, by) if by else None
    user = next((one for one in found if one.pk == user_id), None)
    if user is None or user.status == User.Status.DELETED:
        raise UserNotFound
    if acting and not may_change(acting, user):
        raise NotAllowed
    return user


def _acting(found: Collection[User], by: User) -> User:
    """As the row is now: since the door has let them in, they may have been barred."""
    acting = next((one for one in found if one.pk == by.pk), None)
    if by.acts_in and not Session.objects.filter(pk=by.acts_in, ended_at=None).exists():
        raise SessionRevoked
    if acting is None or not (acting.is_active and acting.is_staff):
        raise NotAllowed
    return acting


def _is_above_all(by: User | None) -> bool:
    return by is None or User.objects.filter(pk=by.pk, is_superuser=True).exists()


def _is_admin(user: User) -> bool:
    """Without being staff there is no door to administer by."""
    return user.is_superuser and user.is_staff and user.is_active
