"""Who may do what to whom: the rules of staff, and the one way to lock a user whom somebody else changes.

Used by the services that staff reach by the API, the admin or the command line. Whether they have the permission at
all is the door's to ask; what holds whoever has it is here.
"""

from collections.abc import Collection
from uuid import UUID

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

from accounts.errors import Refused
from accounts.models import User
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
    """The user, locked. Raises UserNotFound, NotAllowed."""
    return _allowed(User.objects.locked([user_id]), user_id, by)


def locked_to_leave(user_id: UUID, *, by: User | None) -> User:
    """The user, locked, who is about to be no active superuser any more. Raises LastAdmin, UserNotFound, NotAllowed.

    All active superusers are locked together: of two who would be the last, the second sees that the first has gone.
    """
    admins = User.objects.filter(is_superuser=True, status=User.Status.ACTIVE)
    is_admin = admins.filter(pk=user_id).exists()
    ids = {user_id, *admins.values_list("pk", flat=True)} if is_admin else {user_id}
    found = User.objects.locked(list(ids))
    user = _allowed(found, user_id, by)
    others = (one for one in found if one.pk != user_id)
    if _is_admin(user) and not any(map(_is_admin, others)):
        raise LastAdmin
    return user


def refuse_to_grant(groups: Collection[Group], *, by: User | None) -> None:
    """Raises NotAllowed for a group that who grants it is not in."""
    if by is None or by.is_superuser:
        return
    if not set(groups) <= set(by.groups.all()):
        raise NotAllowed


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


def _allowed(found: Collection[User], user_id: UUID, by: User | None) -> User:
    user = next((one for one in found if one.pk == user_id), None)
    if user is None or user.status == User.Status.DELETED:
        raise UserNotFound
    if by and not may_change(by, user):
        raise NotAllowed
    return user


def _is_admin(user: User) -> bool:
    return user.is_superuser and user.is_active
