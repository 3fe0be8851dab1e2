"""What registration leads to, and login beside it: each effect once, however often it is asked for."""

import threading
from datetime import date, datetime, timedelta, timezone
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from accounts.event_types import UserRegistered
from accounts.handlers import figures, settings, welcome
from accounts.models import Figure, LastLogin, LoginRecord, OutsideCall, SecurityRecord, User, UserSettings
from events.inbox import batch
from events.outbox.publish import publish_all
from events.routing import Delivery
from events.testing import deliver_pending
from tests.integration.batching import LIMIT_S, beside
from tests.integration.delivering import group
from tests.integration.delivering import published as records
from tests.integration.logins import NINE, logged_in
from tests.integration.mailing import change_behind_the_doors, registered_user
from tests.integration.test_login_handlers import somebody_waits_for_another_transaction
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db

TEN, ELEVEN = NINE + timedelta(hours=1), NINE + timedelta(hours=2)


def delivery(event_id: UUID, handler: str = "test") -> Delivery:
    return Delivery(event_id=event_id, handler=handler, occurred_at=NINE)


def registered(user_id: UUID, at: datetime = NINE) -> UserRegistered:
    return UserRegistered(
        user_id=user_id, version=1, username="ann", email="ann@example.com", display_name="", locale="en",
        registered_at=at,
    )  # fmt: skip


# registration ------------------------------------------------------------------------------------------------


def test_the_welcome_mail_is_owed_once() -> None:
    user_id, event_id = uuid7(), uuid7()

    for _ in range(2):
        welcome.send_welcome(registered(user_id), delivery(event_id, "send-welcome"))

    call = OutsideCall.objects.get()
    assert (call.kind, call.user_id, call.key) == ("welcome", user_id, f"{event_id}/send-welcome")
    assert call.facts == {"registered_on": "2026-11-24"}


@pytest.mark.parametrize(("password", "kind"), [("!", "invited"), ("x", "welcome")])
def test_who_was_made_without_a_password_is_invited_in_place_of_it(password: str, kind: str) -> None:
    user, event_id = registered_user(), uuid7()
    change_behind_the_doors(user, password=password)

    for _ in range(2):
        welcome.send_welcome(registered(user.id), delivery(event_id, "send-welcome"))

    call = OutsideCall.objects.get()
    assert (call.kind, call.user_id, call.key) == (kind, user.id, f"{event_id}/send-welcome")


def test_settings_start_with_the_defaults() -> None:
    user_id = uuid7()

    for _ in range(2):
        settings.initialise_settings(registered(user_id), delivery(uuid7()))

    assert UserSettings.objects.values().get() == {
        "user_id": user_id, "notify_email": True, "notify_sms": False, "version": 1,
    }  # fmt: skip


def test_settings_that_the_user_was_quicker_to_choose_stay() -> None:
    user_id = uuid7()
    UserSettings.objects.create(user_id=user_id, notify_email=False, version=2)

    settings.initialise_settings(registered(user_id), delivery(uuid7()))

    assert UserSettings.objects.filter(user_id=user_id, notify_email=False, version=2).exists()


LATE_IN_NEW_YORK = datetime(2026, 11, 24, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
COUNTED = {(date(2026, 11, 24), "registered", 2), (date(2026, 11, 25), "registered", 1)}


def counted() -> set[tuple[date, str, int]]:
    return set(Figure.objects.values_list("day", "kind", "n"))


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])
def test_registrations_are_counted_by_their_day_in_utc(*, together: bool) -> None:
    made = [(registered(uuid7(), at), delivery(uuid7())) for at in (LATE_IN_NEW_YORK, NINE, ELEVEN)]

    for at_once in [made] if together else [[one] for one in made]:
        figures.count_registrations(at_once)

    assert counted() == COUNTED


def test_a_batch_over_two_days_is_counted_once_however_often_it_comes() -> None:
    with transaction.atomic():
        publish_all(registered(uuid7(), at) for at in (LATE_IN_NEW_YORK, NINE, ELEVEN))

    for _ in range(3):
        batch.handle(records(), group())

    assert counted() == COUNTED


def test_the_days_row_is_written_once_a_batch_and_when_the_other_handlers_are_done() -> None:
    with transaction.atomic():
        publish_all(registered(uuid7(), at) for at in (LATE_IN_NEW_YORK, NINE, ELEVEN))

    with CaptureQueriesContext(connection) as ran:
        batch.handle(records(), group())

    statements = [query["sql"].strip().lower() for query in ran.captured_queries]
    tables = [statement.split()[2] for statement in statements if statement.startswith("insert into")]
    assert tables.count("accounts_figure") == 1
    assert tables[-1] == "accounts_figure"


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_waits_for_its_first_day_holds_none_of_the_others() -> None:
    first, second = [(registered(uuid7(), at), delivery(uuid7())) for at in (NINE, LATE_IN_NEW_YORK)]
    figures.count_registrations([first, second])

    is_locked = threading.Event()

    def count_backwards() -> None:
        assert is_locked.wait(LIMIT_S)
        figures.count_registrations([second, first])

    with beside(count_backwards), transaction.atomic(), connection.cursor() as cursor:
        figures.count_registrations([first])
        is_locked.set()
        wait_for(somebody_waits_for_another_transaction)
        cursor.execute("set local lock_timeout = '2s'")
        figures.count_registrations([second])

    assert [n for _, _, n in counted()] == [3, 3]


# together ----------------------------------------------------------------------------------------------------


def test_events_brought_twice_by_the_routes_have_each_effect_once() -> None:
    user = registered_user()
    before = User.objects.values().get(id=user.id)
    with transaction.atomic():
        publish_all([logged_in(user.id, NINE), logged_in(user.id, TEN, device="Chrome")])

    for _ in range(2):
        deliver_pending()

    assert set(OutsideCall.objects.values_list("kind", flat=True)) == {"welcome", "security_alert"}
    assert OutsideCall.objects.count() == 2
    assert UserSettings.objects.count() == SecurityRecord.objects.count() == 1
    assert Figure.objects.get().n == 1
    assert LoginRecord.objects.count() == 2
    assert LastLogin.objects.get(user_id=user.id).at == TEN
    assert User.objects.values().get(id=user.id) == before
