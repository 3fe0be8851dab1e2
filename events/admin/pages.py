"""Operators' pages: what the outbox holds and what was parked; dead records are requeued, dead letters replayed.

Neither shows the data of an event, which may be personal, nor a traceback, whose message may quote them: ids, states
and reasons, which name the error's class, say what to do.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from events.admin.lists import FilteredByItsFilters
from events.conf import EventsSettings
from events.inbox import dead_letters
from events.models import OutboxRecord, ParkedDelivery
from events.outbox.requeue import requeue


class ReadOnly(FilteredByItsFilters):
    """A list and its pages without any way to change a thing."""

    show_full_result_count = False  # the tables are long
    ordering = ("-id",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Records come from transactions alone."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What was recorded stays so."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Retention deletes."""
        return False


class State(admin.SimpleListFilter):
    """One of `CONDITIONS`: a state's name, and what rows in it have."""

    title = "state"
    parameter_name = "state"
    CONDITIONS: ClassVar[Mapping[str, Mapping[str, bool]]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [(state, state) for state in self.CONDITIONS]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those in the chosen state."""
        return queryset.filter(**self.CONDITIONS.get(self.value() or "", {}))


class OutboxState(State):
    """Of an outbox record."""

    CONDITIONS = {
        "pending": {"published_at__isnull": True, "dead_at__isnull": True},
        "published": {"published_at__isnull": False},
        "dead": {"dead_at__isnull": False},
    }


class ParkedState(State):
    """Of a parked delivery."""

    CONDITIONS = {
        "to be retried": {"next_attempt_at__isnull": False},
        "waiting": {"next_attempt_at__isnull": True, "dead_at__isnull": True},
        "dead": {"dead_at__isnull": False},
    }


@admin.register(OutboxRecord)
class OutboxRecordAdmin(ReadOnly):
    """Events on their way to Kafka, on record there, or dead."""

    list_display = ("id", "topic", "type", "key", "created_at", "published_at", "dead_at", "attempts", "error")
    list_filter = (OutboxState, "topic", "type")
    search_fields = ("key",)
    search_help_text = "The whole key: a user's id"
    exclude = ("headers", "value")
    actions = ("requeue_dead",)

    def has_requeue_permission(self, request: HttpRequest) -> bool:
        """Who might change records, could one change them."""
        return bool(request.user.has_perm("events.change_outboxrecord"))

    @admin.action(description="Requeue: send dead records again, as copies", permissions=["requeue"])
    def requeue_dead(self, request: HttpRequest, queryset: Any) -> None:
        """Those of the chosen ones that are dead and were not requeued before."""
        requeued = requeue(list(queryset.values_list("id", flat=True)))
        left = "; others are not dead, or were requeued before" if len(requeued) < queryset.count() else ""
        self.message_user(request, f"Requeued: {len(requeued)}{left}.")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """By the whole key, which has an index."""
        return (queryset.filter(key=search_term) if search_term else queryset), False


@admin.register(ParkedDelivery)
class ParkedDeliveryAdmin(ReadOnly):
    """Deliveries set aside, and dead letters."""

    list_display = (
        "id", "group", "handler", "type", "topic", "partition", "offset", "recorded_at", "reason", "attempts",
        "next_attempt_at", "dead_at",
    )  # fmt: skip
    list_filter = (ParkedState, "group", "handler", "topic")
    exclude = ("key", "headers", "value", "error")
    actions = ("replay", "discard")

    def has_settle_permission(self, request: HttpRequest) -> bool:
        """Who might change parked deliveries, could one change them."""
        return bool(request.user.has_perm("events.change_parkeddelivery"))

    @admin.action(description="Replay: have consumers try dead letters again", permissions=["settle"])
    def replay(self, request: HttpRequest, queryset: Any) -> None:
        """Those of the chosen ones that are dead."""
        replayed = dead_letters.replay(list(queryset.values_list("id", flat=True)))
        self.message_user(request, f"Replayed: {len(replayed)}. A running consumer tries them now.")

    @admin.action(description="Discard: give dead letters up for good", permissions=["settle"])
    def discard(self, request: HttpRequest, queryset: Any) -> None:
        """Those of the chosen ones that are dead; what waited behind them goes on."""
        routes = EventsSettings.current().load_routes()
        discarded = dead_letters.discard(list(queryset.values_list("id", flat=True)), routes=routes)
        self.message_user(request, f"Discarded: {discarded}.")
