"""The admin's pages of users: made, changed and moved by the services, with who is signed in as the actor.

The permissions are the API's. Whoever may only look, or not touch this one (`staff`), sees the page without its form.
"""

from typing import Any, cast

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts import user_listing
from accounts.admin import forms, moves
from accounts.models import User
from accounts.models.user import DELETE_IMMEDIATELY
from accounts.services import staff
from events.admin.lists import FilteredByItsFilters

_NAMES = ["username", "email", "display_name"]
_STATE = [
    "email_verified", "status", "status_reason", "status_until", "delete_after", "id", "created_at", "updated_at",
]  # fmt: skip
_RIGHTS = ["is_staff", "is_superuser"]


@admin.register(User)
class UserAdmin(FilteredByItsFilters):
    """Users, without their password: nobody sees or sets another's here."""

    list_display = ["username", "email", "status", "is_staff", "created_at", "version"]
    list_filter = ["status", "is_staff", "email_verified"]
    # Which shows the field; `user_listing` searches.
    search_fields = ["username_canonical__startswith", "email_canonical__startswith"]
    search_help_text = "How the username or the e-mail address begins, or a whole id"
    ordering = ["-id"]
    list_per_page = 50
    action_form = moves.MoveForm
    actions = [
        moves.action(moves.SUSPEND, "Suspend", "change"),
        moves.action(moves.REACTIVATE, "Reactivate", "change"),
        moves.action(moves.DELETE, "Delete after the grace", "leave"),
        moves.action(moves.RESTORE, "Restore", "change"),
        moves.action(moves.DELETE_IMMEDIATELY, "Delete immediately", "immediate_deletion"),
        moves.action(moves.UNLOCK, "Unlock", "change"),
        moves.action(moves.SEND_PASSWORD_LINK, "Send password link", "change"),
    ]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """With the permission, and within the rules of staff."""
        if not super().has_change_permission(request, obj):
            return False
        return obj is None or (obj.status != User.Status.DELETED and staff.may_change(_who(request), obj))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Never: a row that goes takes the events' meaning with it."""
        return False

    def has_leave_permission(self, request: HttpRequest) -> bool:
        """To have accounts deleted after the grace."""
        return _who(request).has_perm("accounts.delete_user")

    def has_immediate_deletion_permission(self, request: HttpRequest) -> bool:
        """And without it."""
        return self.has_leave_permission(request) and _who(request).has_perm(f"accounts.{DELETE_IMMEDIATELY}")

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """What a new user begins with; of one who is there, all but the password."""
        if obj is None:
            return [(None, {"fields": [*_NAMES, "groups"]})]
        shown = [*_NAMES, "locale", "time_zone", "groups", *_RIGHTS, "version"]
        return [(None, {"fields": shown}), ("State", {"fields": _STATE})]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """The state, which actions change; and the rights, but for superusers."""
        return _STATE if _who(request).is_superuser else [*_STATE, *_RIGHTS]

    def get_form(self, request: HttpRequest, obj: Any = None, change: Any = False, **options: Any) -> Any:  # noqa: FBT002 - as Django calls it
        """The form of who is signed in."""
        of_one = forms.UserWithRightsForm if _who(request).is_superuser else forms.UserForm
        form = of_one if obj else forms.NewUserForm
        return type(form.__name__, (form,), {"by": _who(request)})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """By the name as it is shown, in any spelling, as the API's list is searched."""
        return (queryset.filter(user_listing.named(search_term, Q())) if search_term.strip() else queryset), False

    def save_form(self, request: Any, form: Any, change: Any) -> Any:
        """The user as the service left it."""
        return form.instance

    def save_model(self, request: Any, obj: Any, form: Any, change: Any) -> None:
        """The service has written it."""

    def save_related(self, request: Any, form: Any, formsets: Any, change: Any) -> None:
        """The groups too."""


def _who(request: HttpRequest) -> User:
    return cast("User", request.user)
