"""The admin's pages of groups, for superusers: whoever may change what a group permits could permit themselves all."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from events.admin.lists import FilteredByItsFilters

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

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: Any) -> None:
        """Unless somebody has become a member since the form was looked at. Raises PermissionDenied."""
        if change and "name" in form.changed_data:
            _refuse_members([obj.pk])
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        """As `save_model`."""
        self.delete_queryset(request, Group.objects.filter(pk=obj.pk))

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        """As `save_model`."""
        _refuse_members(list(queryset.values_list("pk", flat=True)))
        super().delete_queryset(request, queryset)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and getattr(request.user, "is_superuser", False))


def _refuse_members(ids: Sequence[int]) -> None:
    """Lock the groups, as who grants them does (`services.staff`). Raises PermissionDenied if one has members."""
    locked = list(Group.objects.filter(pk__in=ids).order_by("pk").select_for_update())
    if any(map(_has_members, locked)):
        raise PermissionDenied


def _has_members(group: Any) -> bool:
    return group is not None and group.user_set.exists()
