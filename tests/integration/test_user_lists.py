"""What a list of users costs: as many statements whatever its length, which look at few rows however many there are."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

from accounts import user_listing
from accounts.models import LastLogin, Session, User
from accounts.models.session import Client
from accounts.names import EmailAddress, Username
from accounts.services.registration import NewUser, create_superuser

pytestmark = pytest.mark.django_db

USERS, OLDEST = 20_000, 200
# Those whose names begin with zoe came first of all: at the far end of a list, by name and by time.
MANY = """
insert into accounts_user (id, username, username_canonical, email, email_canonical, email_verified, password, status,
    display_name, locale, time_zone, is_staff, is_superuser, version, created_at, updated_at)
select gen_random_uuid(), name, name, name || '@example.com', name || '@example.com', true, '!',
    case n %% 5000 when 1 then 'suspended' else 'active' end, '', 'en', 'UTC', false, false, 1, at, at
from (
    select n, case when n <= %s then 'zoe' else 'ann' end || n as name,
        timestamptz '2020-01-01 00:00Z' + n / 2 * interval '1 min' as at
    from generate_series(1, %s) as n
) as made
"""
PATH = "/api/v1/admin/users"


@pytest.fixture(scope="module")
def client(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[APIClient]:
    """A superuser's, who is signed in, beside some thousand users; the tests but read, and share them."""
    with django_db_blocker.unblock():
        root = make_users()
    client = APIClient()
    client.force_authenticate(user=root.user, token=root)  # type: ignore[arg-type]  # the stubs know DRF's own alone
    yield client
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("truncate accounts_user, accounts_lastlogin, auth_group, events_outbox cascade")


def make_users() -> Session:
    """The superuser's session; of the others every thousandth is in the group `few`, and has signed in."""
    now = timezone.now()
    new = NewUser(username=Username("root-a", "root-a"), email=EmailAddress("r@example.com", "r@example.com"))
    root = create_superuser(new=new, password="CANARY-pw-4711", now=now)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select accounts_unguarded('a test of lists')")
        cursor.execute(MANY, [OLDEST, USERS])
    some = list(User.objects.filter(username_canonical__endswith="000"))
    Group.objects.create(name="few").user_set.add(*some)
    LastLogin.objects.bulk_create(LastLogin(user_id=user.pk, at=now) for user in some)
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze accounts_user, accounts_user_groups, accounts_lastlogin")
    return Session.objects.open(user=root, client=Client(device="", ip=None), now=now, for_s=3600)


def asked(client: APIClient, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The page, and the statements that it took."""
    with CaptureQueriesContext(connection) as ran:
        answer = client.get(PATH, parameters)
    assert answer.status_code == 200, answer.content
    return answer.json(), [query["sql"] for query in ran]


def looked_at(statement: str) -> int:
    """How many rows, and entries of indexes, it takes in its hand."""
    with connection.cursor() as cursor:
        cursor.execute(f"explain (analyze, format json) {statement}".replace("%", "%%"), [])
        [(told,)] = cursor.fetchall()
    plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
    return sum(_in_hand(node) for node in _nodes(plan) if "Scan" in node["Node Type"])


def _in_hand(node: Mapping[str, Any]) -> int:
    passed_over = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + passed_over) * node["Actual Loops"])


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def of_the_list(statements: list[str]) -> str:
    """The one that reads users."""
    return next(one for one in statements if one.startswith("SELECT") and 'FROM "accounts_user"' in one)


def test_a_page_takes_as_many_statements_whatever_its_length(client: APIClient) -> None:
    (short, of_short), (long, of_long) = (asked(client, {"page_size": size}) for size in ("1", "100"))

    assert [len(page["items"]) for page in (short, long)] == [1, 100]
    assert sum(bool(item["groups"]) for item in long["items"]) == 1
    assert len(of_short) == len(of_long) == 4


@pytest.mark.parametrize("ordering", ["created_at", "-created_at", "username", "-username"])
def test_the_tenth_page_costs_what_the_first_does(client: APIClient, ordering: str) -> None:
    wanted = {"ordering": ordering, "page_size": "100"}
    page, first = asked(client, wanted)
    for _ in range(9):
        page, tenth = asked(client, wanted | {"cursor": page["next"]})

    # A page that begins among users of one instant passes over those before it.
    assert all(looked_at(of_the_list(statements)) <= 103 for statements in (first, tenth))


@pytest.mark.parametrize(
    ("wanted", "found", "most"),
    [
        ({"search": "zoe"}, 25, 4 * OLDEST),
        ({"search": "zoe", "ordering": "username"}, 25, 4 * OLDEST),
        ({"search": "zoe", "ordering": "-username"}, 25, 4 * OLDEST),
        ({"search": "zoe17@"}, 1, 10),
        ({"search": "ann777"}, 11, 60),
        ({"search": "ann_"}, 0, 10),
        ({"search": "nobody"}, 0, 10),
        ({"search": "01a22469-adb4-7363-88fe-a1a77437a790"}, 0, 10),
        ({"status": "suspended"}, 4, 20),
        ({"status": "suspended", "ordering": "username"}, 4, 20),
        ({"group": "few"}, 20, 100),
        ({"group": "few", "created_to": "2020-01-01T10:00:00Z"}, 1, 100),
        ({"created_from": "2020-01-02T00:00:00Z", "created_to": "2020-01-02T01:00:00Z"}, 25, 130),
    ],
)
def test_a_search_or_filter_looks_at_few_of_many(
    client: APIClient, wanted: dict[str, str], found: int, most: int
) -> None:
    page, statements = asked(client, wanted)

    assert len(page["items"]) == found
    assert looked_at(of_the_list(statements)) <= most


def test_very_many_are_not_sorted_to_be_listed_by_time(client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_listing, "SORTED_MOST", USERS // 10)

    page, statements = asked(client, {"search": "ann"})

    assert len(page["items"]) == 25
    assert looked_at(of_the_list(statements)) <= 30
