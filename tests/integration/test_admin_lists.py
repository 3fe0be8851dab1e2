"""The admin's lists of tables that grow for years: none is counted or looked through for the sake of a page."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib import admin
from django.db import connection, models
from django.template.response import TemplateResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import (
    LastLogin,
    LoginRecord,
    OutsideCall,
    SecurityRecord,
    Session,
    UnguardedChange,
    User,
    UserSettings,
)
from events.models import OutboxRecord

pytestmark = pytest.mark.django_db

OF_USERS = [LoginRecord, LastLogin, SecurityRecord, OutsideCall, UserSettings]
LONG = [*OF_USERS, Session, UnguardedChange, User, OutboxRecord]
USER_ID = UUID("019363d0-5a3c-7000-8000-00000000abcd")


def listed(model: type[models.Model], **query: str) -> TemplateResponse:
    request = RequestFactory().get("/", query)
    request.user = User(username="root", is_superuser=True, is_staff=True)
    page = admin.site._registry[model].changelist_view(request)
    assert isinstance(page, TemplateResponse)
    page.render()
    return page


def found(model: type[models.Model], **query: str) -> list[Any]:
    page = listed(model, **query)
    assert page.context_data is not None
    return list(page.context_data["cl"].result_list)


def one_of(model: type[models.Model], user_id: UUID) -> models.Model:
    """A row of this user's."""
    at = timezone.now()
    columns: dict[type[models.Model], dict[str, Any]] = {
        LoginRecord: {"at": at},
        LastLogin: {"at": at},
        SecurityRecord: {"at": at, "event_id": uuid7(), "kind": "unlocked"},
        OutsideCall: {"key": str(uuid7()), "kind": "welcome", "created_at": at, "next_attempt_at": at},
        UserSettings: {"notify_email": True, "notify_sms": False, "version": 1},
    }
    return model._default_manager.create(user_id=user_id, **columns[model])


@pytest.mark.parametrize("model", LONG)
@pytest.mark.parametrize("query", [{}, {"q": str(USER_ID)}, {"q": "no id"}, {"_facets": "True"}, {"p": "2"}], ids=str)
def test_no_list_counts_all_rows_or_asks_for_what_no_index_serves(
    model: type[models.Model], query: dict[str, str]
) -> None:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        listed(model, **query)

    statements = [one["sql"].upper() for one in asked]
    assert [one for one in statements if "COUNT(" in one and "LIMIT" not in one] == []
    assert [one for one in statements if "UPPER(" in one or "DISTINCT" in one] == []


@pytest.mark.parametrize("model", OF_USERS)
def test_a_users_rows_are_found_by_the_whole_id(model: type[models.Model]) -> None:
    row, _other = one_of(model, USER_ID), one_of(model, uuid4())

    for typed in (str(USER_ID), USER_ID.hex, f" {str(USER_ID).upper()} "):
        assert found(model, q=typed) == [row]
    for typed in (str(uuid4()), str(USER_ID)[:-1], "ann", "%"):
        assert found(model, q=typed) == []
    assert len(found(model, q=" ")) == 2


def test_a_call_is_found_by_its_own_id_as_well() -> None:
    call, _other = one_of(OutsideCall, USER_ID), one_of(OutsideCall, USER_ID)
    assert found(OutsideCall, q=str(call.pk)) == [call]


def test_more_than_so_many_are_not_counted_and_the_page_says_so() -> None:
    for rows, told in ((5_000, "5000 last logins"), (1, "5000+ last logins")):
        with connection.cursor() as cursor:
            cursor.execute(
                "insert into accounts_lastlogin (user_id, at) select gen_random_uuid(), now()"
                " from generate_series(1, %s)", [rows],
            )  # fmt: skip
        assert told in " ".join(listed(LastLogin).content.decode().split())
    assert len(found(LastLogin, p="100")) == 50


def test_filters_offer_what_there_may_be_and_narrow_by_it() -> None:
    call = one_of(OutsideCall, USER_ID)
    assert found(OutsideCall, kind="welcome") == [call]
    assert found(OutsideCall, kind="reset") == []
    page = listed(OutsideCall).content.decode()
    assert [kind for kind in ("welcome", "reset", "webhook") if f"?kind={kind}" not in page] == []
    page = listed(OutboxRecord).content.decode()
    for asked in ("topic=user.events", "topic=user.events.dlq", "type=user.registered", "state=dead"):
        assert f"?{asked}" in page
    assert found(OutboxRecord, topic="user.events", type="user.registered") == []
