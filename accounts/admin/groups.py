"""The admin's pages of groups, for superusers: whoever may change what a group permits could permit themselves all."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest

from accounts.admin.lookups import FilteredByItsFilters

admin.site.unregister(Group)


@admin.register(Group)
class OwnGroupAdmin(FilteredByItsFilters, GroupAdmin):
    """A group with members is neither renamed nor deleted: events have told its name as theirs."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """By superusers."""
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """By superusers."""
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """By superusers, once nobody is in it."""
        return _is_superuser(request) and not _has_members(obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The name, while it is told of somebody."""
        return ["name"] if _has_members(obj) else []


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and getattr(request.user, "is_superuser", False))


def _has_members(group: Any) -> bool:
    return group is not None and group.user_set.exists()
