"""What logins lead to: each effect once, however often and in whatever order and company they come."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from accounts.handlers import login_log
from accounts.models import LastLogin, LoginRecord
from accounts.models.login_record import network_of
from events.inbox import batch
from events.models import ParkedDelivery
from tests.integration.batching import retry
from tests.integration.delivering import group, record_of
from tests.integration.logins import HANDLERS, NINE, WRITERS, Handler, as_told, brought, logged_in, published, told
from tests.waiting import LIMIT_S, wait_for

pytestmark = pytest.mark.django_db

TEN, ELEVEN = NINE + timedelta(hours=1), NINE + timedelta(hours=2)


# login log ---------------------------------------------------------------------------------------------------


def test_the_login_log_keeps_each_login_once() -> None:
    login = logged_in(uuid7(), NINE, device="Firefox on Linux")
    one = brought(login)
    beside_it = brought(logged_in(uuid7(), NINE))

    for logins in ([one], [beside_it, one, one]):
        login_log.write_login_log(logins)

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


NOWHERE = ["", "nowhere", "203.0.113.7/24", "203.0.113.256", "fe80::1%eth0", "7"]


@pytest.mark.parametrize("ip", NOWHERE)
def test_a_login_from_an_address_that_cannot_be_read_is_kept_as_from_none(ip: str) -> None:
    batch.handle([record_of(logged_in(uuid7(), NINE, ip=ip))], group())

    assert not ParkedDelivery.objects.exists()
    assert LoginRecord.objects.values_list("at", "ip", "network").get() == (NINE, None, "")


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])
@pytest.mark.parametrize("bad", [{"ip": "nowhere"}, {"device": "x" * 201}], ids=["address", "too long a device"])
def test_after_a_login_that_is_no_good_the_users_next_one_is_logged_and_checked(
    bad: dict[str, str], *, together: bool
) -> None:
    user_id = uuid7()
    first = brought(logged_in(user_id, NINE))
    unusual = brought(logged_in(user_id, ELEVEN, device="Chrome", ip="198.51.100.7"))
    published(first, unusual)
    records = [record_of(first[0]), record_of(logged_in(user_id, TEN, **bad))]

    for polled in [records] if together else [[one] for one in records]:
        batch.handle(polled, group())
    retry(group(), times=10)
    batch.handle([record_of(unusual[0], event_id=unusual[1].event_id)], group())

    assert not ParkedDelivery.objects.filter(dead_at=None).exists()
    assert LoginRecord.objects.filter(user_id=user_id, at=ELEVEN).exists()
    assert LastLogin.objects.get(user_id=user_id).at == ELEVEN
    assert told() == Counter([as_told(unusual[0], "new_device", "new_network")])


# last login --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])
@pytest.mark.parametrize("order", [(NINE, TEN, ELEVEN), (ELEVEN, NINE, TEN), (ELEVEN, TEN, NINE), (TEN, ELEVEN, TEN)])
def test_the_last_login_never_goes_back(order: tuple[datetime, ...], *, together: bool) -> None:
    ann, bob = uuid7(), uuid7()
    logins = [brought(logged_in(user_id, at)) for at in order for user_id in (ann, bob)]

    for at_once in [logins] if together else [[login] for login in logins]:
        login_log.update_last_login(at_once)

    assert set(LastLogin.objects.values_list("user_id", "at")) == {(ann, ELEVEN), (bob, ELEVEN)}


# cost and company --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("users", [1, 500])
@pytest.mark.parametrize("handler", HANDLERS)
def test_five_hundred_logins_are_one_statement_a_handler(handler: Handler, users: int) -> None:
    ids = [uuid7() for _ in range(users)]
    logins = [brought(logged_in(ids[n % users], NINE + timedelta(seconds=n), device=f"{n}")) for n in range(500)]

    with CaptureQueriesContext(connection) as statements:
        handler(logins)

    assert len(statements) == 1


def somebody_waits_for_another_transaction() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select exists (select from pg_locks where not granted and locktype = 'transactionid')")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("handler", WRITERS)
def test_a_batch_that_waits_for_its_first_row_holds_none_of_the_others(handler: Handler) -> None:
    # The first by the key that the handler writes is the last by the other.
    users = sorted((uuid7() for _ in range(8)), reverse=handler is not login_log.update_last_login)
    event_ids = sorted((uuid7() for _ in users), reverse=handler is login_log.update_last_login)
    for known in WRITERS:
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
