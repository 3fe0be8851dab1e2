"""GET /admin/users/{id}/events: what was published about a user, and what came of it; from `events.history`.

Never the data of an event: what is personal in it is nobody's to see here.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import user_listing
from accounts.api.pages import PageParameters, page_of
from accounts.api.permissions import VIEW, AdminEndpoint
from accounts.models import OutsideCall
from events import history
from events.history import Handled
from events.models import OutboxRecord

CALL_STATES = ("pending", "done", "skipped", "given_up")


class ActorAnswer(serializers.Serializer[Any]):
    """Who caused it: a user, staff, or the system, which has no id."""

    kind = serializers.CharField()
    id = serializers.CharField(allow_null=True)


class HandlerAnswer(serializers.Serializer[Any]):
    """How far a handler is: parked is tried again at `next_attempt_at` or waits behind another event."""

    name = serializers.CharField()
    state = serializers.ChoiceField(history.HANDLER_STATES)
    attempts = serializers.IntegerField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)


class CallAnswer(serializers.Serializer[Any]):
    """A mail or webhook that a handler owed; `host` is the webhook's, `error` why the last attempt failed."""

    kind = serializers.CharField()
    host = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(CALL_STATES)
    attempts = serializers.IntegerField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField(allow_blank=True)


class EventAnswer(serializers.Serializer[Any]):
    """An event; `version` is the user's after it. Partition and offset are its place in Kafka, once it has one."""

    id = serializers.UUIDField()
    type = serializers.CharField()
    version = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    actor = ActorAnswer(allow_null=True)
    state = serializers.ChoiceField(history.RECORD_STATES)
    topic = serializers.CharField()
    partition = serializers.IntegerField(allow_null=True)
    offset = serializers.IntegerField(allow_null=True)
    published_at = serializers.DateTimeField(allow_null=True)
    handlers = HandlerAnswer(many=True)
    calls = CallAnswer(many=True)


class EventPage(serializers.Serializer[Any]):
    """A page of events."""

    items = EventAnswer(many=True)
    next = serializers.CharField(allow_null=True)


class UserEventsView(AdminEndpoint):
    """What was published about a user."""

    Parameters = PageParameters
    needs = {"GET": VIEW}

    @extend_schema(operation_id="get_user_events", parameters=[PageParameters], responses=EventPage)
    def get(self, request: Request, user_id: UUID) -> Response:
        """The newest first, as far back as the outbox reaches."""
        records = history.records_of(str(user_listing.user_with_id(user_id).pk))
        return page_of(request, self.query, records, by=["-id"], answers=_told)


def _told(records: Sequence[OutboxRecord]) -> Sequence[dict[str, Any]]:
    handled = history.handled(records)
    calls = user_listing.calls_of([record.event_id for record in records])
    return [
        _told_of(record)
        | {
            "handlers": list(map(_told_of_handler, handled[record.event_id])),
            "calls": list(map(_told_of_call, calls.get(record.event_id, ()))),
        }
        for record in records
    ]


def _told_of(record: OutboxRecord) -> dict[str, Any]:
    actor = history.actor_of(record)
    return {
        "id": record.event_id,
        "type": record.type,
        "version": record.version,
        "created_at": record.created_at,
        "actor": {"kind": actor.kind, "id": actor.id or None} if actor else None,
        "state": history.state_of(record),
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "published_at": record.published_at,
    }


def _told_of_handler(handled: Handled) -> dict[str, Any]:
    return {
        "name": handled.name,
        "state": handled.state,
        "attempts": handled.attempts,
        "next_attempt_at": handled.next_attempt_at,
    }


def _told_of_call(call: OutsideCall) -> dict[str, Any]:
    state = _state_of(call)
    return {
        "kind": call.kind,
        "host": call.facts.get("host"),
        "state": state,
        "attempts": call.attempts,
        "next_attempt_at": call.next_attempt_at if state == "pending" else None,
        "error": call.error,
    }


def _state_of(call: OutsideCall) -> str:
    if call.failed_at:
        return "given_up"
    if call.settled_at:
        return "skipped" if call.error else "done"
    return "pending"
