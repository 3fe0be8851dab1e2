"""What `manage.py relay_outbox` does before it begins: it looks at the table, and waits for a database that is away."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError

import pytest
from django.db import connection

from devstack import Stack
from events.models import OutboxRecord
from tests.integration.relaying import (
    CHECKOUT,
    Noted,
    RelayProcess,
    Topics,
    all_records,
    commit,
    database_url,
    first_arrivals,
    pending,
    relay_process,
)
from tests.waiting import LIMIT_S, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

STOCK = "alter table events_outbox alter column id set cache {}"
SHARDS = (
    "alter table events_outbox drop constraint events_outbox_shard,"
    " add constraint events_outbox_shard check (shard between 0 and {})"
)


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def altered(statement: str, *, now: int, afterwards: int) -> Iterator[None]:
    sql(statement.format(now))
    try:
        yield
    finally:
        sql(statement.format(afterwards))


@contextmanager
def database_away(parts: Stack) -> Iterator[None]:
    """It may come back before the end."""
    connection.close()
    parts.postgres.stop()
    try:
        yield
    finally:
        parts.postgres.start()


def start() -> subprocess.CompletedProcess[str]:
    """Has the relay try; it must end by itself."""
    ours = {"DATABASE_URL": database_url(), "DATABASE_DIRECT_URL": database_url(), "DEBUG": "on"}
    return subprocess.run(
        [sys.executable, "manage.py", "relay_outbox", "--port", "0"],
        cwd=CHECKOUT, env=os.environ | ours, text=True, capture_output=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip


def readiness(relay: RelayProcess) -> str:
    """The body of /readyz, ready or not."""
    try:
        return relay.get("/readyz")
    except HTTPError as error:
        with error:
            return error.read().decode()


def sessions_of_django() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_stat_activity where application_name = 'relay under test'"
            " and query like '%pg_get_serial_sequence%'"
        )
        row = cursor.fetchone()
    return int(row[0])


def test_a_table_with_other_shards_refuses_the_start(own_topics: Topics) -> None:
    commit(Noted(of="user", n=1))
    with altered(SHARDS, now=127, afterwards=63):
        ended = start()
    assert ended.returncode == 1
    assert "(events.E005) shards in the outbox: CHECK (((shard >= 0) AND (shard <= 127)))" in ended.stderr
    assert "HINT: run the version that made this table, or restore 0 to 63" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert '"relay owns"' not in ended.stdout
    assert pending() == 1


def test_ids_in_stock_refuse_the_start_and_the_remedy_lets_it(own_topics: Topics) -> None:
    commit(Noted(of="user", n=1))
    with altered(STOCK, now=10, afterwards=1):
        ended = start()
    assert ended.returncode == 1
    assert "(events.E005) ids in stock a session: 10" in ended.stderr
    assert "HINT: alter table events_outbox alter column id set cache 1" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert pending() == 1

    with relay_process("--drain") as relay:
        assert relay.exit_code() == 0
    assert pending() == 0


def test_the_session_that_looked_is_closed_before_the_relay_begins(own_topics: Topics) -> None:
    with relay_process() as relay:
        wait_for(relay.is_ready)
        wait_for(lambda: sessions_of_django() == 0)  # the server ends one in a moment of its own


def test_a_relay_that_starts_without_its_database_goes_on_when_that_comes(own_topics: Topics, parts: Stack) -> None:
    commit(Noted(of="user", n=1))
    with database_away(parts), relay_process() as relay:
        wait_for(lambda: relay.has_said('"part": "database"'))
        wait_for(lambda: readiness(relay) == '{"status": "failing", "failing": ["database"]}')
        assert relay.get("/healthz") == '{"status": "ok"}'
        parts.postgres.start()
        wait_for(lambda: pending() == 0)
        wait_for(relay.is_ready)
    assert first_arrivals(all_records(own_topics.user_events)) == {"user": [1]}
    assert OutboxRecord.objects.get().attempts == 0


def test_it_looks_at_the_table_of_a_database_that_comes_later_too(own_topics: Topics, parts: Stack) -> None:
    with altered(STOCK, now=10, afterwards=1), database_away(parts), relay_process() as relay:
        wait_for(lambda: relay.has_said('"part": "database"'))
        parts.postgres.start()
        assert relay.exit_code() == 1
        assert not relay.has_said('"relay owns"')


def test_sigterm_ends_a_relay_that_waits_for_its_database(own_topics: Topics, parts: Stack) -> None:
    with database_away(parts), relay_process() as relay:
        wait_for(lambda: relay.has_said('"part": "database"'))
        relay.signal(signal.SIGTERM)
        assert relay.exit_code() == 0
