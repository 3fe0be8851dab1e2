"""The operators' pages of outbox and parked deliveries: to be looked at, without the data of any event.

What the actions do: `test_outbox_operations`, `test_dead_letters`.
"""

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.test import RequestFactory
from uuid_utils.compat import uuid7

from events.models import OutboxRecord, ParkedDelivery
from events.outbox.publish import publish
from tests.integration.relaying import Noted

pytestmark = pytest.mark.django_db


def as_superuser(**query: str) -> HttpRequest:
    request = RequestFactory().get("/", query)
    request.user = get_user_model()(username="root", is_superuser=True, is_staff=True)
    return request


def shown(page: object) -> str:
    assert isinstance(page, TemplateResponse)
    return str(page.render().content, "utf-8")


def one_record() -> OutboxRecord:
    with transaction.atomic():
        publish(Noted(of="user-1", n=1, text="very private"))
    return OutboxRecord.objects.get()


def one_parked() -> ParkedDelivery:
    with connection.cursor() as cursor:
        cursor.execute("select now()")
        (now,) = cursor.fetchone()
    return ParkedDelivery.objects.create(
        group="usercenter", handler="tell-status", event_id=uuid7(), type="user.status_changed", topic="user.events",
        partition=2, offset=41, recorded_at=now, key=b"user-1", headers=b"[]", value=b"very private",
        reason="failed: TypeError", error="Traceback:\nTypeError: very private",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("model", "actions"), [(OutboxRecord, {"requeue_dead"}), (ParkedDelivery, {"replay", "discard"})]
)
def test_nothing_can_be_added_changed_or_deleted(model: type[OutboxRecord | ParkedDelivery], actions: set[str]) -> None:
    page, request = admin.site._registry[model], as_superuser()
    assert page.has_view_permission(request)
    assert not page.has_add_permission(request)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)
    assert set(page.get_actions(request)) == actions


def test_who_may_not_change_records_may_not_requeue_replay_or_discard_them() -> None:
    request = as_superuser()
    request.user = get_user_model()(username="ann", is_superuser=False, is_staff=True)
    assert admin.site._registry[OutboxRecord].get_actions(request) == {}
    assert admin.site._registry[ParkedDelivery].get_actions(request) == {}


def test_the_outbox_shows_states_and_no_data() -> None:
    record, page = one_record(), admin.site._registry[OutboxRecord]
    listed = shown(page.changelist_view(as_superuser()))
    detail = shown(page.change_view(as_superuser(), str(record.pk)))
    assert "user-1" in listed
    assert str(record.event_id) in detail
    assert "very private" not in listed + detail
    assert "traceparent" not in detail


@pytest.mark.parametrize(("state", "is_listed"), [("pending", True), ("published", False), ("dead", False)])
def test_the_outbox_can_be_narrowed_to_a_state(state: str, is_listed: bool) -> None:  # noqa: FBT001 - a table
    one_record()
    listed = shown(admin.site._registry[OutboxRecord].changelist_view(as_superuser(state=state)))
    assert ("user-1" in listed) == is_listed


def test_parked_deliveries_show_why_and_no_data() -> None:
    parked, page = one_parked(), admin.site._registry[ParkedDelivery]
    listed = shown(page.changelist_view(as_superuser()))
    detail = shown(page.change_view(as_superuser(), str(parked.pk)))
    assert "tell-status" in listed
    assert "failed: TypeError" in listed
    assert "failed: TypeError" in detail
    assert "very private" not in listed + detail


@pytest.mark.parametrize(("state", "is_listed"), [("dead", False), ("waiting", True), ("to be retried", False)])
def test_parked_deliveries_can_be_narrowed_to_a_state(state: str, is_listed: bool) -> None:  # noqa: FBT001 - a table
    one_parked()
    listed = shown(admin.site._registry[ParkedDelivery].changelist_view(as_superuser(state=state)))
    assert ('<td class="field-handler">tell-status' in listed) == is_listed
