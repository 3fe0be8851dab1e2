"""What registration and login lead to: each effect once, however often and in whatever order it is asked for."""

from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from accounts.event_types import UserLoggedIn, UserRegistered
from accounts.handlers import figures, login_log, security, settings, welcome
from accounts.models import Figure, LastLogin, LoginRecord, OutsideCall, SecurityRecord, User, UserSettings
from accounts.models.login_record import network_of
from events.routing import Delivery
from events.testing import deliver
from tests.integration.mailing import registered_user

pytestmark = pytest.mark.django_db

NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
TEN, ELEVEN = NINE + timedelta(hours=1), NINE + timedelta(hours=2)


def delivery(event_id: UUID, handler: str = "test") -> Delivery:
    return Delivery(event_id=event_id, handler=handler, occurred_at=NINE)


def registered(user_id: UUID, at: datetime = NINE) -> UserRegistered:
    return UserRegistered(
        user_id=user_id, version=1, username="ann", email="ann@example.com", display_name="", locale="en",
        registered_at=at,
    )  # fmt: skip


def logged_in(user_id: UUID, at: datetime, *, device: str = "Firefox", ip: str | None = "203.0.113.7") -> UserLoggedIn:
    return UserLoggedIn(user_id=user_id, version=1, session_id=uuid7(), at=at, device=device, ip=ip)


# registration ------------------------------------------------------------------------------------------------


def test_the_welcome_mail_is_owed_once() -> None:
    user_id, event_id = uuid7(), uuid7()

    for _ in range(2):
        welcome.send_welcome(registered(user_id), delivery(event_id, "send-welcome"))

    call = OutsideCall.objects.get()
    assert (call.kind, call.user_id, call.key) == ("welcome", user_id, f"{event_id}/send-welcome")
    assert call.facts == {"registered_on": "2026-11-24"}


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


def test_registrations_are_counted_by_their_day_in_utc() -> None:
    late_in_new_york = datetime(2026, 11, 24, 23, 30, tzinfo=timezone(timedelta(hours=-5)))

    for at in (NINE, ELEVEN, late_in_new_york):
        figures.count_registration(registered(uuid7(), at), delivery(uuid7()))

    assert set(Figure.objects.values_list("day", "kind", "n")) == {
        (date(2026, 11, 24), "registered", 2), (date(2026, 11, 25), "registered", 1),
    }  # fmt: skip


# login -------------------------------------------------------------------------------------------------------


def test_the_login_log_keeps_each_login_once() -> None:
    event_id = uuid7()
    login = logged_in(uuid7(), NINE, device="Firefox on Linux")

    for _ in range(2):
        login_log.write_login_log(login, delivery(event_id))

    assert LoginRecord.objects.values().get() == {
        "event_id": event_id, "user_id": login.user_id, "at": NINE, "session_id": login.session_id,
        "device": "Firefox on Linux", "ip": "203.0.113.7", "network": "203.0.113.0/24",
    }  # fmt: skip


def test_a_login_whose_address_was_erased_is_kept_without_one() -> None:
    login_log.write_login_log(logged_in(uuid7(), NINE, ip=None), delivery(uuid7()))

    assert LoginRecord.objects.values_list("ip", "network").get() == (None, "")


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:a:b:c:d:e:f", "2001:db8:a::/48"),
        ("::1", "::/48"),
        (None, ""),
    ],
)
def test_the_network_of_an_address(ip: str | None, network: str) -> None:
    assert network_of(ip) == network


@pytest.mark.parametrize("order", [(NINE, TEN, ELEVEN), (ELEVEN, NINE, TEN), (ELEVEN, TEN, NINE), (TEN, ELEVEN, TEN)])
def test_the_last_login_never_goes_back(order: tuple[datetime, ...]) -> None:
    user_id = uuid7()

    for at in order:
        login_log.update_last_login(logged_in(user_id, at), delivery(uuid7()))

    assert LastLogin.objects.get(user_id=user_id).at == ELEVEN


LOGINS: dict[str, tuple[list[tuple[str, str | None]], list[int]]] = {
    "the first ever": ([("Firefox", "203.0.113.7")], []),
    "another address nearby": ([("Firefox", "203.0.113.7"), ("Firefox", "203.0.113.200")], []),
    "another device": ([("Firefox", "203.0.113.7"), ("Chrome", "203.0.113.7")], [1]),
    "another network": ([("Firefox", "203.0.113.7"), ("Firefox", "198.51.100.7")], [1]),
    "the other half of an IPv6 network": ([("Firefox", "2001:db8:a:1::1"), ("Firefox", "2001:db8:a:ffff::1")], []),
    "known ones taking turns": (
        [("Firefox", "203.0.113.7"), ("Chrome", "198.51.100.7"), ("Firefox", "203.0.113.9"),
         ("Chrome", "198.51.100.1")],
        [1],
    ),
    "known ones mixed": (
        [("Firefox", "203.0.113.7"), ("Chrome", "198.51.100.7"), ("Chrome", "203.0.113.7")], [1, 2],
    ),
    "an erased address": ([("Firefox", "203.0.113.7"), ("Firefox", None)], []),
}  # fmt: skip


@pytest.mark.parametrize("order", ["log first", "check first", "checks last, backwards and twice"])
@pytest.mark.parametrize("case", LOGINS)
def test_a_login_from_a_device_and_network_not_seen_before_is_noted(case: str, order: str) -> None:
    came_from, expected = LOGINS[case]
    user_id = uuid7()
    logins = [
        (logged_in(user_id, NINE + timedelta(minutes=n), device=device, ip=ip), delivery(uuid7()))
        for n, (device, ip) in enumerate(came_from)
    ]
    login_log.write_login_log(logged_in(uuid7(), NINE - timedelta(days=1), device="another user's"), delivery(uuid7()))

    log, check = login_log.write_login_log, security.check_login
    steps = {
        "log first": [(step, n) for n in range(len(logins)) for step in (log, check)],
        "check first": [(step, n) for n in range(len(logins)) for step in (check, log)],
        "checks last, backwards and twice": [
            *((log, n) for n in range(len(logins))),
            *((check, n) for n in reversed(range(len(logins))) for _ in range(2)),
        ],
    }
    for step, n in steps[order]:
        step(*logins[n])

    noted = set(SecurityRecord.objects.values_list("event_id", "kind", "user_id", "at", "device", "ip"))
    assert noted == {
        (delivered.event_id, "new_device", user_id, event.at, event.device, event.ip)
        for event, delivered in (logins[n] for n in expected)
    }


# together ----------------------------------------------------------------------------------------------------


def test_events_brought_twice_by_the_routes_have_each_effect_once() -> None:
    user = registered_user()
    before = User.objects.values().get(id=user.id)
    events = [registered(user.id), logged_in(user.id, NINE), logged_in(user.id, TEN, device="Chrome")]

    ids = [deliver(event) for event in events]
    for event, event_id in zip(events, ids, strict=True):
        deliver(event, event_id=event_id)

    assert OutsideCall.objects.count() == UserSettings.objects.count() == SecurityRecord.objects.count() == 1
    assert Figure.objects.get().n == 1
    assert LoginRecord.objects.count() == 2
    assert LastLogin.objects.get(user_id=user.id).at == TEN
    assert User.objects.values().get(id=user.id) == before
