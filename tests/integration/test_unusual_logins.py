"""Which logins are told to be unusual, and of what: once each, in whatever order and company they come."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from accounts.event_types import Sign
from accounts.handlers import login_log, security
from accounts.models import User
from events.envelope import traceparent_of
from events.models import OutboxRecord
from events.outbox.store import decode_headers
from events.trace import new_traceparent
from tests.integration.logins import (
    NINE,
    Handler,
    Login,
    arrive,
    as_told,
    brought,
    failed,
    logged_in,
    published,
    told,
)

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
TEN = NINE + 60 * MINUTE
WRITE, CHECK = login_log.write_login_log, security.check_login
DEVICE: Sequence[Sign] = ("new_device",)
NETWORK: Sequence[Sign] = ("new_network",)
BOTH: Sequence[Sign] = ("new_device", "new_network")

# Where each comes from, and which of them show what.
LOGINS: dict[str, tuple[list[tuple[str, str | None]], dict[int, Sequence[Sign]]]] = {
    "the first ever": ([("Firefox", "203.0.113.7")], {}),
    "another address nearby": ([("Firefox", "203.0.113.7"), ("Firefox", "203.0.113.200")], {}),
    "another device": ([("Firefox", "203.0.113.7"), ("Chrome", "203.0.113.7")], {1: DEVICE}),
    "another network": ([("Firefox", "203.0.113.7"), ("Firefox", "198.51.100.7")], {1: NETWORK}),
    "another of both": ([("Firefox", "203.0.113.7"), ("Chrome", "198.51.100.7")], {1: BOTH}),
    "the other half of an IPv6 network": ([("Firefox", "2001:db8:a:1::1"), ("Firefox", "2001:db8:a:ffff::1")], {}),
    "known ones taking turns": (
        [("Firefox", "203.0.113.7"), ("Chrome", "198.51.100.7"), ("Firefox", "203.0.113.9"),
         ("Chrome", "198.51.100.1")],
        {1: BOTH},
    ),
    "known ones mixed": (
        [("Firefox", "203.0.113.7"), ("Chrome", "198.51.100.7"), ("Chrome", "203.0.113.7")], {1: BOTH},
    ),
    "an unknown address": ([("Firefox", "203.0.113.7"), ("Firefox", None)], {}),
    "another device at an unknown address": ([("Firefox", "203.0.113.7"), ("Chrome", None)], {1: DEVICE}),
    "after an unknown address": ([("Firefox", None), ("Firefox", "203.0.113.7")], {1: NETWORK}),
    "no device": ([("Firefox", "203.0.113.7"), ("", "203.0.113.7")], {}),
    "no device from another network": ([("Firefox", "203.0.113.7"), ("", "198.51.100.7")], {1: NETWORK}),
    "after no device": ([("", "203.0.113.7"), ("Firefox", "203.0.113.7")], {1: DEVICE}),
}  # fmt: skip

Step = tuple[Sequence[Handler], Sequence[int]]


def steps_of(order: str, count: int) -> list[Step]:
    every = range(count)
    steps: dict[str, list[Step]] = {
        "log first": [([WRITE, CHECK], [n]) for n in every],
        "check first": [([CHECK, WRITE], [n]) for n in every],
        "checks last, backwards and twice": [
            ([WRITE], every), *(([CHECK], [n]) for n in reversed(every) for _ in range(2))
        ],
        "all at once, log first": [([WRITE, CHECK], every)],
        "all at once, check first": [([CHECK, WRITE], every)],
        "all at once, backwards and twice, without the log": [([CHECK], [*every, *every][::-1])],
    }  # fmt: skip
    return steps[order]


@pytest.mark.parametrize("order", [
    "log first", "check first", "checks last, backwards and twice", "all at once, log first",
    "all at once, check first", "all at once, backwards and twice, without the log",
])  # fmt: skip
@pytest.mark.parametrize("case", LOGINS)
def test_a_login_from_a_device_or_network_that_none_came_from_is_told_once(case: str, order: str) -> None:
    came_from, expected = LOGINS[case]
    user_id = uuid7()
    logins = [
        brought(logged_in(user_id, NINE + n * MINUTE, device=device, ip=ip)) for n, (device, ip) in enumerate(came_from)
    ]
    another_user = brought(logged_in(uuid7(), NINE - timedelta(days=1), device="another user's"))
    published(another_user, *logins)
    login_log.write_login_log([another_user])

    for handlers, which in steps_of(order, len(logins)):
        arrive([another_user, *(logins[n] for n in which)], *handlers)

    assert told() == Counter(as_told(logins[n][0], *signs) for n, signs in expected.items())


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])
def test_of_logins_at_the_same_instant_none_is_earlier(*, together: bool) -> None:
    user_id = uuid7()
    login_log.write_login_log([brought(logged_in(user_id, NINE))])
    twins = [brought(logged_in(user_id, TEN, device="Chrome")) for _ in range(2)]
    published(*twins)

    for logins in [twins] if together else [[twin] for twin in twins]:
        arrive(logins, WRITE, CHECK)

    assert told() == Counter(as_told(event, *DEVICE) for event, _ in twins)


def test_first_logins_at_the_same_instant_have_nothing_to_compare_with() -> None:
    user_id = uuid7()
    twins = [brought(logged_in(user_id, NINE, device=device)) for device in ("Firefox", "Chrome")]
    published(*twins)

    arrive(twins, WRITE, CHECK)

    assert told() == Counter()


# after failures ----------------------------------------------------------------------------------------------


def minutes_before_ten(*minutes: float) -> list[datetime]:
    return [TEN - minute * MINUTE for minute in minutes]


@pytest.mark.parametrize(
    ("failures", "earlier", "is_told"),
    [
        ([3, 2, 1], [], True),
        ([60, 2, 1], [], True),
        ([5, 4, 3, 2, 1], [], True),
        ([3, 2, 1], [3.5], True),
        ([4, 3, 2, 1], [4], True),
        ([2, 1], [], False),
        ([60.1, 2, 1], [], False),
        ([3, 2, 0], [], False),
        ([3, 2, -1], [], False),
        ([3, 2, 1], [2.5], False),
        ([4, 3, 2], [1], False),
        ([3, 2, 1], [3], False),
    ],
)
@pytest.mark.parametrize("logged", [False, True], ids=["all at once", "in the log"])
def test_three_wrong_passwords_within_the_hour_and_since_the_last_login_are_told(
    failures: list[float], earlier: list[float], *, is_told: bool, logged: bool
) -> None:
    user_id = uuid7()
    failed(user_id, *minutes_before_ten(*failures))
    before = [brought(logged_in(user_id, at)) for at in minutes_before_ten(*earlier)]
    login = brought(logged_in(user_id, TEN))
    published(login)
    if logged:
        login_log.write_login_log([login, *before])

    arrive([login] if logged else [login, *before], CHECK)

    assert told() == Counter([as_told(login[0], "after_failures")] if is_told else [])


def test_failures_of_others_and_those_that_had_the_right_password_do_not_count() -> None:
    user_id, three = uuid7(), minutes_before_ten(3, 2, 1)
    failed(uuid7(), *three)
    failed(user_id, *three, reason="not_active")
    login = brought(logged_in(user_id, TEN))
    published(login)

    arrive([login], CHECK)

    assert told() == Counter()


def test_all_signs_of_a_login_stand_in_one_alert_of_the_systems() -> None:
    user_id = uuid7()
    login_log.write_login_log([brought(logged_in(user_id, NINE))])
    failed(user_id, *minutes_before_ten(5, 4, 3, 2))
    failed(user_id, *minutes_before_ten(1), reason="not_active")
    login = brought(logged_in(user_id, TEN, device="Chrome", ip="2001:db8::1"))
    published(login)

    arrive([login], CHECK)

    assert told() == Counter([as_told(login[0], "after_failures", "new_device", "new_network")])
    record = OutboxRecord.objects.get(type="user.security_alert")
    assert (record.topic, record.key) == ("user.events", str(user_id))
    assert dict(decode_headers(bytes(record.headers)))["ce_authtype"] == b"system"


def test_each_alert_follows_the_trace_of_its_own_login() -> None:
    traces = {uuid7(): new_traceparent() for _ in range(2)}
    login_log.write_login_log([brought(logged_in(user_id, NINE)) for user_id in traces])
    logins = [brought(logged_in(user_id, TEN, device="Chrome"), None, trace) for user_id, trace in traces.items()]
    published(*logins)

    arrive(logins[::-1], CHECK)

    alerts = OutboxRecord.objects.filter(type="user.security_alert")
    assert {UUID(alert.key): traceparent_of(decode_headers(bytes(alert.headers))) for alert in alerts} == traces


# what nobody may be told of ----------------------------------------------------------------------------------


def with_an_id_that_nobody_published(login: Login) -> Login:
    return brought(login[0])


def with_the_id_of_another_user(login: Login) -> Login:
    return brought(msgspec.structs.replace(login[0], user_id=ANOTHER), login[1].event_id)


def with_the_id_of_another_type(login: Login) -> Login:
    event_id = uuid7()
    OutboxRecord.objects.filter(event_id=login[1].event_id).update(event_id=event_id, type="user.logged_out")
    return brought(login[0], event_id)


def of_one_who_is_gone(login: Login) -> Login:
    with connection.cursor() as cursor:
        cursor.execute("select accounts_unguarded('a test')")
    User.objects.filter(id=login[0].user_id).update(status=User.Status.DELETED)
    return login


ANOTHER = uuid7()


def unusual() -> Login:
    """The second login of a user, from elsewhere; another user has one, too."""
    user_id = uuid7()
    first = [brought(logged_in(one, NINE)) for one in (user_id, ANOTHER)]
    login = brought(logged_in(user_id, TEN, device="Chrome", ip="198.51.100.7"))
    published(*first, login)
    login_log.write_login_log(first)
    return login


def test_a_login_like_those_of_the_next_test_is_told() -> None:
    login = unusual()

    arrive([login], CHECK)

    assert told() == Counter([as_told(login[0], *BOTH)])


@pytest.mark.parametrize("changed", [
    with_an_id_that_nobody_published, with_the_id_of_another_user, with_the_id_of_another_type, of_one_who_is_gone,
])  # fmt: skip
def test_of_what_is_not_in_our_outbox_and_of_who_is_gone_nobody_is_told(changed: Callable[[Login], Login]) -> None:
    arrive([changed(unusual())], CHECK)

    assert told() == Counter()
