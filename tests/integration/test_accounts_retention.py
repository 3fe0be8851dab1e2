"""What is over its time goes, what is not stays, and pending work is never touched."""

import pytest
from django.db import connection
from django.utils import timezone

from accounts import retention
from accounts.models import Session
from accounts.models.session import Client
from accounts.names import parse_email, parse_username
from accounts.services.registration import NewUser, register

# By table: the column that ages, and how old a row may be.
AGES = {
    "accounts_throttle": ("ends_at", "0 s"),
    "accounts_idempotencykey": ("created_at", "24 hours"),
    "accounts_link": ("expires_at", "30 days"),
    "accounts_session": ("ended_at", "30 days"),
    "accounts_outsidecall": ("settled_at", "30 days"),
    "accounts_loginrecord": ("at", "180 days"),
    "accounts_securityrecord": ("at", "180 days"),
}
ROWS = {
    "accounts_throttle": "(key, count, ends_at) values ('a', 1, now())",
    "accounts_idempotencykey": "(hash, body_hash, created_at) values ('a', 'b', now())",
    "accounts_link": """(user_id, purpose, hash, email_canonical, call_id, asked_at, created_at, expires_at)
        select id, 'reset', 'a', '', gen_random_uuid(), now(), now(), now() from accounts_user""",
    "accounts_outsidecall": """(id, key, kind, facts, traceparent, created_at, attempts, next_attempt_at, error)
        values (gen_random_uuid(), 'a', 'reset', '{}', '', now(), 0, now(), '')""",
    "accounts_loginrecord": "(id, at, device, network) values (gen_random_uuid(), now(), '', '')",
    "accounts_securityrecord": """(event_id, kind, user_id, at, device)
        values (gen_random_uuid(), 'new_device', gen_random_uuid(), now(), '')""",
}


@pytest.fixture
def session(db: None) -> Session:
    """Whose tables have one row each."""
    new = NewUser(username=parse_username("ann"), email=parse_email("ann@example.com"))
    client = Client(device="", ip=None)
    opened = register(new=new, password="long enough", client=client, now=timezone.now()).session
    for table, row in ROWS.items():
        run(f"insert into {table} {row}")
    return opened


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*) from {table}")  # noqa: S608 - our own table
        [(rows,)] = cursor.fetchall()
    return int(rows)


@pytest.mark.parametrize("table", AGES)
def test_a_row_stays_to_the_end_of_its_time_and_no_longer(session: Session, table: str) -> None:
    column, most = AGES[table]
    aged = f"update {table} set {column} = now() - interval '{most}' {{}} interval '1 minute'"  # noqa: S608 - as above
    run(aged.format("+"))
    retention.prune()
    assert count(table) == 1

    run(aged.format("-"))
    retention.prune()

    assert count(table) == 0
    assert {other: count(other) for other in AGES if other != table} == dict.fromkeys(AGES.keys() - {table}, 1)


def test_what_is_still_owed_and_an_open_session_are_never_over(session: Session) -> None:
    run("update accounts_outsidecall set created_at = now() - interval '1 year'")
    run("update accounts_session set created_at = now() - interval '1 year'")

    retention.prune()

    assert (count("accounts_outsidecall"), count("accounts_session"), count("accounts_refreshtoken")) == (1, 1, 1)


def test_more_than_one_batch_goes(session: Session) -> None:
    run("insert into accounts_throttle select 'key ' || n, 1, now() from generate_series(1, 2500) as n")
    run("update accounts_throttle set ends_at = now() - interval '1 hour'")

    retention.prune()

    assert count("accounts_throttle") == 0
