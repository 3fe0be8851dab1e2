"""Operators' pages: what the outbox holds and what was parked; dead records are requeued, dead letters replayed.

Neither shows the data of an event, which may be personal, nor a traceback, whose message may quote them: ids, states
and reasons, which name the error's class, say what to do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db import transaction
from django.http import HttpRequest

from events.admin.lists import FilteredByItsFilters, OneOf
from events.conf import EventsSettings
from events.inbox import dead_letters
from events.models import OutboxRecord, ParkedDelivery
from events.outbox.requeue import requeue

_AT_ONCE = 500  # records, and so keys locked, in one transaction


@dataclass(frozen=True, slots=True)
class Act:
    """What is done to chosen records, of which `run` gives those it was done to; and what it is called afterwards."""

    done: str
    run: Callable[[Sequence[int]], Sequence[int]]
    flag: int = CHANGE


class SureForm(ActionForm):
    """What an action is told: a discarded letter does not come back."""

    sure = forms.BooleanField(required=False, label="Discard for good: ")


class ReadOnly(FilteredByItsFilters):
    """A list and its pages without any way to change a thing."""

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

    def done_to(self, ids: Sequence[int], act: Act, request: HttpRequest) -> int:
        """Do it to these, some hundred in one transaction; gives to how many it was done."""
        steps = (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
        return sum(self._done_to(step, act, request) for step in steps)

    @transaction.atomic
    def _done_to(self, ids: Sequence[int], act: Act, request: HttpRequest) -> int:
        """With the admin's own record of each, which says by whom."""
        rows = self.get_queryset(request).defer(*(self.exclude or ())).in_bulk(ids)
        done = act.run(ids)
        LogEntry.objects.log_actions(str(request.user.pk), [rows[row_id] for row_id in done], act.flag, act.done)
        return len(done)


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


class Topic(OneOf):
    """Of those that are ours."""

    title = parameter_name = "topic"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """As they are set."""
        return [(name, name) for name in EventsSettings.current().topic_names()]


class Type(OneOf):
    """Of those in the routes."""

    title = parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """In the alphabet's order."""
        return [(name, name) for name in sorted(EventsSettings.current().load_routes().classes)]


@admin.register(OutboxRecord)
class OutboxRecordAdmin(ReadOnly):
    """Events on their way to Kafka, on record there, or dead."""

    list_display = ("id", "topic", "type", "key", "created_at", "published_at", "dead_at", "attempts", "error")
    list_filter = (OutboxState, Topic, Type)
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
        chosen = _ids(queryset)
        requeued = self.done_to(chosen, Act("Requeued.", requeue), request)
        left = "; others are not dead, or were requeued before" if requeued < len(chosen) else ""
        self.message_user(request, f"Requeued: {requeued}{left}.")

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
    # Of the last three what the table has, which is short as a rule: also groups and handlers that are no more.
    list_filter = (ParkedState, "group", "handler", "topic")
    exclude = ("key", "headers", "value", "error")
    action_form = SureForm
    actions = ("replay", "discard")

    def has_settle_permission(self, request: HttpRequest) -> bool:
        """Who might change parked deliveries, could one change them."""
        return bool(request.user.has_perm("events.change_parkeddelivery"))

    @admin.action(description="Replay: have consumers try dead letters again", permissions=["settle"])
    def replay(self, request: HttpRequest, queryset: Any) -> None:
        """Those of the chosen ones that are dead."""
        replayed = self.done_to(_ids(queryset), Act("Replayed.", dead_letters.replay), request)
        self.message_user(request, f"Replayed: {replayed}. A running consumer tries them now.")

    @admin.action(description="Discard: give dead letters up for good", permissions=["settle"])
    def discard(self, request: HttpRequest, queryset: Any) -> None:
        """Those of the chosen ones that are dead, for who is sure; what waited behind them goes on."""
        if not request.POST.get("sure"):
            return self.message_user(request, "Nothing was done. Say that it is for good.", messages.ERROR)
        routes = EventsSettings.current().load_routes()
        act = Act("Discarded.", partial(dead_letters.discard, routes=routes), DELETION)
        return self.message_user(request, f"Discarded: {self.done_to(_ids(queryset), act, request)}.")


def _ids(queryset: Any) -> list[int]:
    return list(queryset.order_by("id").values_list("id", flat=True))
