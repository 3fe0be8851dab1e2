"""Who may administer users: staff who have the Django permission that each method of a view names.

What holds whoever has the permission (staff acts neither on itself nor on who may do more, and grants nothing that it
lacks) is `services.staff`'s.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.api.authentication import session_of
from accounts.api.endpoint import Endpoint
from accounts.models import User
from accounts.models.user import DELETE_IMMEDIATELY

VIEW, ADD, CHANGE, DELETE = (f"accounts.{act}_user" for act in ("view", "add", "change", "delete"))
AT_ONCE = f"accounts.{DELETE_IMMEDIATELY}"


class StaffPermission(BasePermission):
    """Signed in, staff, and with the permission that the view needs for this method."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """False is told as 401 to who is not signed in, else as 403."""
        user = request.user
        needed = view.needs["GET" if request.method == "HEAD" else request.method]
        return isinstance(user, User) and user.is_staff and user.has_perm(needed)


class AdminEndpoint(Endpoint):
    """A view for staff; `needs` has the permission of each of its methods."""

    permission_classes = [StaffPermission]
    needs: ClassVar[Mapping[str, str]]


def staff_of(request: Request) -> User:
    """Who administers, and by which session."""
    session = session_of(request)
    session.user.acts_in = session.pk
    return session.user
