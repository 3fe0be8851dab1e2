"""The operators' pages of outbox and parked deliveries: to be looked at, without the data of any event.

What the actions do: `test_outbox_operations`, `test_dead_letters`.
"""

import logging

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.test import RequestFactory
from django.utils import timezone
from uuid_utils.compat import uuid7

from events.models import OutboxRecord, ParkedDelivery
from events.outbox.publish import publish
from tests.integration.operating import acted, operator
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
    record = OutboxRecord.objects.last()
    assert record is not None
    return record


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


ACTS = [
    (OutboxRecord, "requeue_dead", CHANGE, "outbox records requeued"),
    (ParkedDelivery, "replay", CHANGE, "dead letters replayed"),
    (ParkedDelivery, "discard", DELETION, "dead letters discarded"),
]  # fmt: skip


def some(model: type[OutboxRecord | ParkedDelivery], count: int, *, dead: bool = True) -> list[int]:
    """Their ids."""
    make = one_record if model is OutboxRecord else one_parked
    made = [make().pk for _ in range(count)]
    model.objects.filter(pk__in=made).update(dead_at=timezone.now() if dead else None)
    return made


@pytest.mark.parametrize(("model", "action", "flag", "_line"), ACTS)
def test_each_record_that_something_was_done_to_says_who_did_it(
    model: type[OutboxRecord | ParkedDelivery], action: str, flag: int, _line: str
) -> None:
    root, dead = operator(), some(model, 2)
    names = {str(row.pk): str(row) for row in model.objects.all()}

    acted(model, action, dead + some(model, 1, dead=False), by=root, sure="on")

    entries = LogEntry.objects.order_by("id")
    assert [entry.object_id for entry in entries] == [str(one) for one in dead]
    assert {entry.object_id: entry.object_repr for entry in entries} == names
    assert {(entry.user_id, entry.action_flag) for entry in entries} == {(root.pk, flag)}
    assert {entry.content_type.model_class() for entry in entries if entry.content_type} == {model}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("model", "action", "_flag", "line"), ACTS)
def test_what_cannot_be_put_on_record_is_not_done(
    model: type[OutboxRecord | ParkedDelivery], action: str, _flag: int, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "events")
    [dead] = some(model, 1)
    nobody = get_user_model()(username="root", is_superuser=True, is_staff=True)

    with pytest.raises(IntegrityError):
        acted(model, action, [dead], by=nobody, sure="on")

    assert list(model.objects.exclude(dead_at=None).values_list("pk", flat=True)) == [dead]
    assert model.objects.count() == 1
    assert line not in caplog.messages


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("model", "action", "_flag", "line"), ACTS)
def test_the_log_names_the_first_twenty(
    model: type[OutboxRecord | ParkedDelivery], action: str, _flag: int, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "events")
    dead = some(model, 21)

    acted(model, action, dead, by=operator(), sure="on")

    [told] = [vars(one) for one in caplog.records if one.message == line]
    assert (told["ids"], told.get("letters", told.get("records"))) == (dead[:20], 21)


def test_nothing_is_discarded_by_who_does_not_say_that_it_is_for_good() -> None:
    root, [dead] = operator(), some(ParkedDelivery, 1)

    assert acted(ParkedDelivery, "discard", [dead], by=root) == ["Nothing was done. Say that it is for good."]

    assert ParkedDelivery.objects.count() == 1
    assert LogEntry.objects.count() == 0
    assert 'name="sure"' in shown(admin.site._registry[ParkedDelivery].changelist_view(as_superuser()))


@pytest.mark.parametrize(("model", "action", "_flag", "_line"), ACTS)
@pytest.mark.parametrize("nobodys", ["no-id", "1.5", "9" * 30, "\0"])
def test_an_id_that_is_none_is_no_fault(
    model: type[OutboxRecord | ParkedDelivery], action: str, _flag: int, _line: str, nobodys: str
) -> None:
    [dead] = some(model, 1)

    [told] = acted(model, action, [nobodys], by=operator(), sure="on")

    assert told.startswith(("Nothing was done.", "Requeued: 0", "Replayed: 0", "Discarded: 0"))
    assert list(model.objects.exclude(dead_at=None).values_list("pk", flat=True)) == [dead]
