"""What logins lead to: each effect once, however often and in whatever order and company they come."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from accounts.handlers import login_log, security
from accounts.models import LastLogin, LoginRecord, SecurityRecord
from accounts.models.login_record import network_of
from tests.integration.logins import HANDLERS, NINE, Handler, brought, logged_in, noted
from tests.waiting import LIMIT_S, wait_for

pytestmark = pytest.mark.django_db

TEN, ELEVEN = NINE + timedelta(hours=1), NINE + timedelta(hours=2)


# login log ---------------------------------------------------------------------------------------------------


def test_the_login_log_keeps_each_login_once() -> None:
    login = logged_in(uuid7(), NINE, device="Firefox on Linux")
    one = brought(login)
    beside_it = brought(logged_in(uuid7(), NINE))

    for batch in ([one], [beside_it, one, one]):
        login_log.write_login_log(batch)

    assert LoginRecord.objects.count() == 2
    assert LoginRecord.objects.values().get(id=one[1].event_id) == {
        "id": one[1].event_id, "outcome": "success", "reason": "", "identifier_hash": "",
        "user_id": login.user_id, "at": NINE, "session_id": login.session_id,
        "device": "Firefox on Linux", "ip": "203.0.113.7", "network": "203.0.113.0/24",
    }  # fmt: skip


def test_a_login_whose_address_was_erased_is_kept_without_one() -> None:
    login_log.write_login_log([brought(logged_in(uuid7(), NINE, ip=None))])

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


@pytest.mark.parametrize("ip", ["", "203.0.113", "203.0.113.7/24", "localhost"])
def test_what_is_no_address_has_no_network(ip: str) -> None:
    with pytest.raises(ValueError, match="address"):
        network_of(ip)


# last login --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])
@pytest.mark.parametrize("order", [(NINE, TEN, ELEVEN), (ELEVEN, NINE, TEN), (ELEVEN, TEN, NINE), (TEN, ELEVEN, TEN)])
def test_the_last_login_never_goes_back(order: tuple[datetime, ...], *, together: bool) -> None:
    ann, bob = uuid7(), uuid7()
    logins = [brought(logged_in(user_id, at)) for at in order for user_id in (ann, bob)]

    for batch in [logins] if together else [[login] for login in logins]:
        login_log.update_last_login(batch)

    assert set(LastLogin.objects.values_list("user_id", "at")) == {(ann, ELEVEN), (bob, ELEVEN)}


# security log ------------------------------------------------------------------------------------------------


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
    "after an erased address": ([("Firefox", None), ("Firefox", "203.0.113.7")], [1]),
}  # fmt: skip

Step = tuple[Handler, Sequence[int]]


def steps_of(order: str, count: int) -> list[Step]:
    log, check, every = login_log.write_login_log, security.check_login, range(count)
    steps: dict[str, list[Step]] = {
        "log first": [(step, [n]) for n in every for step in (log, check)],
        "check first": [(step, [n]) for n in every for step in (check, log)],
        "checks last, backwards and twice": [
            *((log, [n]) for n in every),
            *((check, [n]) for n in reversed(every) for _ in range(2)),
        ],
        "all at once, log first": [(log, every), (check, every)],
        "all at once, check first": [(check, every), (log, every)],
        "all at once, backwards and twice, without the log": [(check, [*every, *every][::-1])],
    }
    return steps[order]


@pytest.mark.parametrize("order", [
    "log first", "check first", "checks last, backwards and twice", "all at once, log first",
    "all at once, check first", "all at once, backwards and twice, without the log",
])  # fmt: skip
@pytest.mark.parametrize("case", LOGINS)
def test_a_login_from_a_device_and_network_not_seen_before_is_noted(case: str, order: str) -> None:
    came_from, expected = LOGINS[case]
    user_id = uuid7()
    logins = [
        brought(logged_in(user_id, NINE + timedelta(minutes=n), device=device, ip=ip))
        for n, (device, ip) in enumerate(came_from)
    ]
    another_user = brought(logged_in(uuid7(), NINE - timedelta(days=1), device="another user's"))
    login_log.write_login_log([another_user])

    for handler, which in steps_of(order, len(logins)):
        handler([another_user, *(logins[n] for n in which)])

    assert set(SecurityRecord.objects.values_list("event_id", "kind", "user_id", "at", "device", "ip")) == {
        (delivered.event_id, "new_device", user_id, event.at, event.device, event.ip)
        for event, delivered in (logins[n] for n in expected)
    }


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])
def test_of_logins_at_the_same_instant_none_is_earlier(*, together: bool) -> None:
    user_id = uuid7()
    login_log.write_login_log([brought(logged_in(user_id, NINE))])
    twins = [brought(logged_in(user_id, TEN, device="Chrome")) for _ in range(2)]

    for batch in [twins] if together else [[twin] for twin in twins]:
        login_log.write_login_log(batch)
        security.check_login(batch)

    assert noted() == {delivered.event_id for _, delivered in twins}


def test_first_logins_at_the_same_instant_have_nothing_to_compare_with() -> None:
    user_id = uuid7()
    twins = [brought(logged_in(user_id, NINE, device=device)) for device in ("Firefox", "Chrome")]

    login_log.write_login_log(twins)
    security.check_login(twins)

    assert noted() == set()


# cost and company --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("users", [1, 500])
@pytest.mark.parametrize("handler", HANDLERS)
def test_five_hundred_logins_are_one_statement_a_handler(handler: Handler, users: int) -> None:
    ids = [uuid7() for _ in range(users)]
    logins = [brought(logged_in(ids[n % users], NINE + timedelta(seconds=n), device=f"{n}")) for n in range(500)]

    with CaptureQueriesContext(connection) as statements:
        handler(logins)

    assert len(statements) == 1


def read_rows_of(plan: dict[str, Any]) -> float:
    """How many rows of the login log a statement came to, those it left out again included."""
    own = plan.get("Relation Name") == "accounts_loginrecord" and plan["Node Type"] != "ModifyTable"
    each = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    here = plan["Actual Loops"] * each if own else 0
    return float(here + sum(read_rows_of(child) for child in plan.get("Plans", [])))


@pytest.mark.parametrize("analyzed", [False, True], ids=["no statistics", "statistics"])
def test_a_check_looks_at_few_of_the_earlier_logins_however_many_there_are(*, analyzed: bool) -> None:
    user_id, others = uuid7(), [uuid7() for _ in range(20)]
    login_log.write_login_log(
        [brought(logged_in(one, NINE - timedelta(minutes=n))) for one in (user_id, *others) for n in range(1, 200)]
    )
    new = [brought(logged_in(user_id, NINE + timedelta(seconds=n), device=f"{n}")) for n in range(50)]
    login_log.write_login_log(new)
    plans = []

    def explain(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's
        result = execute("explain (analyze, format json) " + statement, params, many, context)
        plans.append(context["cursor"].fetchone()[0][0]["Plan"])
        return result

    with connection.cursor() as cursor:
        if analyzed:
            cursor.execute("analyze accounts_loginrecord")
        with connection.execute_wrapper(explain):
            security.check_login(new)

    assert len(noted()) == 50
    assert read_rows_of(plans[0]) <= 3 * 50


def somebody_waits_for_another_transaction() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select exists (select from pg_locks where not granted and locktype = 'transactionid')")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("handler", HANDLERS)
def test_a_batch_that_waits_for_its_first_row_holds_none_of_the_others(handler: Handler) -> None:
    # The first by the key that the handler writes is the last by the other.
    users = sorted((uuid7() for _ in range(8)), reverse=handler is not login_log.update_last_login)
    event_ids = sorted((uuid7() for _ in users), reverse=handler is login_log.update_last_login)
    for known in HANDLERS:
        known([brought(logged_in(user_id, NINE)) for user_id in users])
    first, *others = [
        brought(logged_in(user_id, TEN, device="Chrome"), event_id)
        for user_id, event_id in zip(users, event_ids, strict=True)
    ]

    def run() -> None:
        handler([*reversed(others), first])
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic(), connection.cursor() as cursor:
            handler([first])
            cursor.execute("set local lock_timeout = '2s'")
            running = pool.submit(run)
            wait_for(lambda: running.done() or somebody_waits_for_another_transaction())
            handler(others)
        running.result(LIMIT_S)
