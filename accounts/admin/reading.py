"""The admin's pages of what belongs to users, to look at: sessions, logs, what is owed to the outside."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts.models import (
    LastLogin,
    LoginRecord,
    OutsideCall,
    SecurityRecord,
    Session,
    UnguardedChange,
    UserSettings,
)
from accounts.outside import webhooks
from accounts.outside.mail import NOTICES
from events.admin.lists import FilteredByItsFilters, OneOf


class ReadOnlyAdmin(FilteredByItsFilters):
    """A list and a page each, to look at."""

    actions = None
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By a whole id in one of `search_fields`; what is none finds nothing."""
        if not search_term.strip():
            return queryset, False
        try:
            sought = UUID(search_term.strip())
        except ValueError:
            return queryset.none(), False
        return queryset.filter(Q(*((name, sought) for name in self.search_fields), _connector=Q.OR)), False


class Kind(OneOf):
    """Of those that there are."""

    title = parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Of mails, and of the others."""
        return [(kind, kind) for kind in (*NOTICES, webhooks.KIND)]


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    """Sessions, open and ended."""

    list_display = ["id", "user", "device", "ip", "created_at", "ended_at"]
    list_select_related = ["user"]
    ordering = ["-id"]


@admin.register(LoginRecord)
class LoginRecordAdmin(ReadOnlyAdmin):
    """The login log, by the ids, which go by time and have an index of their own."""

    list_display = ["at", "user_id", "device", "ip"]
    search_fields = ["user_id"]
    ordering = ["-id"]


@admin.register(LastLogin)
class LastLoginAdmin(ReadOnlyAdmin):
    """Who signed in when last."""

    list_display = ["user_id", "at"]
    search_fields = ["user_id"]
    ordering = ["-at"]


@admin.register(SecurityRecord)
class SecurityRecordAdmin(ReadOnlyAdmin):
    """The security log."""

    list_display = ["at", "kind", "user_id", "device", "ip"]
    list_filter = ["kind"]
    search_fields = ["user_id"]
    ordering = ["-id"]


@admin.register(OutsideCall)
class OutsideCallAdmin(ReadOnlyAdmin):
    """What is owed to the outside, and what became of it."""

    list_display = ["id", "kind", "user_id", "attempts", "next_attempt_at", "settled_at", "failed_at"]
    list_filter = [Kind]
    search_fields = ["user_id", "id"]
    ordering = ["-id"]


@admin.register(UserSettings)
class UserSettingsAdmin(ReadOnlyAdmin):
    """What users have chosen."""

    list_display = ["user_id", "notify_email", "notify_sms", "version"]
    search_fields = ["user_id"]
    ordering = ["user_id"]


@admin.register(UnguardedChange)
class UnguardedChangeAdmin(ReadOnlyAdmin):
    """Who went past the triggers, and why."""

    list_display = ["at", "role", "reason"]
    ordering = ["-id"]
