"""`manage.py doctor` on real parts: all is well, or what is not and what to do.

The way to the brokers: `test_doctor_reach`.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from devstack import Stack
from events.conf import EventsSettings
from events.doctor import topics
from events.doctor.database import prepared
from events.doctor.libraries import library
from events.models import OutboxRecord, TopicPartitions
from events.outbox.partitions import Pin
from tests.integration.pooling import Pooler
from tests.integration.relaying import CHECKOUT, Noted, Topics, commit, database_url

pytestmark = pytest.mark.django_db


@pytest.fixture
def own_topic(own_topics: Topics, settings: Settings) -> str:
    """The only one, pinned as it is; and the address of the tests' own database."""
    settings.EVENTS = {
        **settings.EVENTS,
        "TOPICS": {"user_events": own_topics.user_events},
        "DATABASE_DIRECT_URL": database_url(),
    }
    call_command("kafka", "topics", "create", stdout=StringIO())
    return own_topics.user_events


def doctor() -> tuple[list[str], str]:
    """What it says, and what it ends with: nothing where all is well."""
    out, end = StringIO(), ""
    try:
        call_command("doctor", stdout=out)
    except CommandError as error:
        end = str(error)
    return out.getvalue().splitlines(), end


def problems() -> list[str]:
    """Each problem, with what to do."""
    said, _ = doctor()
    return [
        f"{line.removeprefix('PROBLEM  ')} {remedy.strip()}"
        for line, remedy in zip(said, [*said[1:], ""], strict=True)
        if line.startswith("PROBLEM")
    ]


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_everything_is_looked_at_and_all_is_well(own_topic: str) -> None:
    said, end = doctor()

    [broker] = EventsSettings.current().brokers
    assert said == [
        "ok       library crc32c: present",
        "ok       library snappy: present",
        "ok       isolation level: read committed",
        "ok       DATABASE_DIRECT_URL: session locks last",
        "ok       prepared transactions left behind: none",
        "ok       ids in stock a session: 1",
        "ok       first column of the outbox: xid",
        "ok       shards in the outbox: CHECK (((shard >= 0) AND (shard <= 63)))",
        "ok       transaction numbers from the future: 0",
        f"ok       way to {broker}: TCP",
        "ok       Kafka: answers",
        "ok       auto.create.topics.enable of broker 1: false",
        f"ok       partitions of {own_topic}: 3, as pinned",
        f"ok       min.insync.replicas of {own_topic}: 1, of 1 replicas",
        f"ok       retention.ms of {own_topic}: 7 d; outbox 30 d, inbox 30 d",
        f"ok       partitions of {own_topic}.dlq: 3, as pinned",
        f"ok       min.insync.replicas of {own_topic}.dlq: 1, of 1 replicas",
        f"ok       retention.ms of {own_topic}.dlq: 7 d; outbox 30 d, inbox 30 d",
    ]
    assert end == ""


# PostgreSQL ---------------------------------------------------------------------------------------------------


def table_checks() -> list[tuple[str, str | None]]:
    found = run_checks(tags=["database"], databases=["default"])
    return [(message.msg, message.hint) for message in found if message.id == "events.E005"]


def test_a_stock_of_ids_is_told_and_its_remedy_mends_it(own_topic: str) -> None:
    sql("alter table events_outbox alter column id set cache 10")
    remedy = "alter table events_outbox alter column id set cache 1"
    assert problems() == [f"ids in stock a session: 10 → {remedy}"]
    assert table_checks() == [("ids in stock a session: 10", remedy)]

    sql(remedy)

    assert problems() == []
    assert table_checks() == []


def test_a_column_before_the_transactions_number_is_told(own_topic: str) -> None:
    sql("alter table events_outbox rename column xid to another")
    sql("alter table events_outbox add column xid xid8 not null default pg_current_xact_id()")
    remedy = "make the table anew by its migrations, and copy the records in: xid comes first"
    assert problems() == [f"first column of the outbox: another → {remedy}"]
    assert table_checks() == [("first column of the outbox: another", remedy)]


@pytest.mark.parametrize(
    ("check", "told"),
    [
        ("check (shard between 0 and 127)", "CHECK (((shard >= 0) AND (shard <= 127)))"),
        ("check (shard between 0 and 63) not valid", "no valid CHECK events_outbox_shard"),
    ],
)
def test_another_number_of_shards_is_told(own_topic: str, check: str, told: str) -> None:
    sql("alter table events_outbox drop constraint events_outbox_shard")
    sql(f"alter table events_outbox add constraint events_outbox_shard {check}")
    remedy = "run the version that made this table, or restore 0 to 63"
    assert problems() == [f"shards in the outbox: {told} → {remedy}"]
    assert table_checks() == [(f"shards in the outbox: {told}", remedy)]


def test_checks_of_the_table_wait_until_it_is_there() -> None:
    sql("alter table events_outbox rename to elsewhere")
    assert table_checks() == []


@pytest.mark.django_db(transaction=True)
def test_another_isolation_level_is_told(own_topic: str) -> None:
    sql("set default_transaction_isolation = 'repeatable read'")
    try:
        found = problems()
    finally:
        sql("reset default_transaction_isolation")
    assert found == [
        "isolation level: repeatable read → drop default_transaction_isolation and OPTIONS isolation_level"
    ]  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_numbers_of_another_cluster_are_told(own_topic: str) -> None:
    commit(Noted(of="a", n=1), Noted(of="b", n=1))
    OutboxRecord.objects.filter(key="a").update(xid="99999999999")
    remedy = "1 pending records were restored from another cluster: restart a relay, which mends them"
    assert problems() == [f"transaction numbers from the future: 1 → {remedy}"]


@pytest.mark.parametrize(
    ("transactions", "told"),
    [
        ([], ("none", "")),
        ([("young", 59.0)], ("none", "")),
        (
            [("old", 61.4), ("young", 3.0)],
            ("'old' for 61 s", "rollback prepared 'old' (or commit prepared)"),
        ),
    ],
)
def test_prepared_transactions_that_were_left_behind_are_told(
    transactions: list[tuple[str, float]], told: tuple[str, str]
) -> None:
    finding = prepared(transactions)
    assert (finding.found, finding.remedy) == told


@pytest.fixture(params=[True, False], ids=["hides the process", "shows one process"])
def pooler(request: pytest.FixtureRequest, parts: Stack) -> Iterator[Pooler]:
    pooler = Pooler(parts.postgres.ports[0], hides_process=request.param)
    yield pooler
    pooler.close()


def test_a_transaction_pooler_is_told(own_topic: str, settings: Settings, pooler: Pooler) -> None:
    settings.EVENTS = {**settings.EVENTS, "DATABASE_DIRECT_URL": pooler.url(database_url())}
    [problem] = problems()
    assert problem.startswith("DATABASE_DIRECT_URL: ")
    assert problem.endswith(" → set it to PostgreSQL's own address, past any transaction pooler")


def test_without_any_part_it_says_so_and_ends_with_1() -> None:
    nothing = {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "KAFKA_BROKERS": "127.0.0.1:1", "DEBUG": "on"}
    nothing["DATABASE_DIRECT_URL"] = nothing["DATABASE_URL"]

    ended = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=CHECKOUT, env=os.environ | nothing, text=True, capture_output=True, check=False, timeout=60,
    )  # fmt: skip

    told = [line.split(":")[0] for line in ended.stdout.splitlines() if line.startswith("PROBLEM")]
    assert told == ["PROBLEM  database", "PROBLEM  way to 127.0.0.1"]
    assert (ended.returncode, ended.stderr) == (1, "CommandError: 2 to mend\n")


def test_checks_of_a_database_that_is_away_end_in_an_error_instead_of_silence() -> None:
    nothing = {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "DEBUG": "on"}
    ended = subprocess.run(
        [sys.executable, "manage.py", "check", "--database", "default"],
        cwd=CHECKOUT, env=os.environ | nothing, text=True, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "OperationalError: connection failed" in ended.stderr


# Brokers and topics -------------------------------------------------------------------------------------------


def test_a_topic_that_is_missing_is_told(own_topic: str, settings: Settings) -> None:
    settings.EVENTS = {**settings.EVENTS, "TOPICS": {"user_events": "no-such"}}
    assert problems() == [
        "partitions of no-such: no such topic → manage.py kafka topics create",
        "partitions of no-such.dlq: no such topic → manage.py kafka topics create",
    ]


def test_partitions_that_nobody_pinned_or_another_count_are_told(own_topic: str) -> None:
    TopicPartitions.objects.filter(topic=own_topic).delete()
    TopicPartitions.objects.filter(topic=f"{own_topic}.dlq").update(partitions=2)
    assert problems() == [
        f"partitions of {own_topic}: 3, not pinned → manage.py kafka topics create",
        f"partitions of {own_topic}.dlq: 3, but 2 pinned → manage.py kafka topics grow {own_topic}.dlq --partitions 3",
    ]


def test_a_topic_left_paused_is_told() -> None:
    finding = topics.partitions("t", 3, Pin(5, datetime(2026, 11, 24, 10, 30, tzinfo=UTC)))
    assert finding.found == "paused since 2026-11-24 10:30 UTC: nothing is sent"
    assert finding.remedy == "manage.py kafka topics grow t --partitions 5, again"


@pytest.mark.parametrize(
    ("replicas", "least", "is_problem"), [(1, "1", False), (2, "1", False), (3, "1", True), (3, "2", False)]
)
def test_of_three_replicas_two_must_be_in_sync(replicas: int, least: str, is_problem: bool) -> None:  # noqa: FBT001 - a table
    assert topics.in_sync("t", replicas, least).is_problem == is_problem


@pytest.mark.parametrize(
    ("keeps_ms", "told"),
    [
        (str(23 * 86_400_000), ""),
        (str(23 * 86_400_000 + 1), "shorten it, or set OUTBOX_RETENTION_D to 31 or more"),
        (str(24 * 86_400_000 + 1), "shorten it, or set OUTBOX_RETENTION_D and INBOX_RETENTION_D to 32 or more"),
        ("-1", "give it a limit: the topic forgets personal data by retention"),
        (None, "allow DESCRIBE_CONFIGS on t"),
    ],
)
def test_outbox_and_inbox_keep_a_week_longer_than_the_topic(keeps_ms: str | None, told: str) -> None:
    assert topics.retention("t", keeps_ms, outbox_d=30, inbox_d=31).remedy == told


@pytest.mark.parametrize(
    ("value", "told"),
    [("false", ""), ("true", "set it to false on every broker"), (None, "allow DESCRIBE_CONFIGS on the cluster")],
)
def test_brokers_that_make_topics_by_themselves_are_told(value: str | None, told: str) -> None:
    assert topics.auto_create("1", value).remedy == told


def test_a_library_that_is_missing_is_told() -> None:
    finding = library("no_such_codec")
    assert (finding.found, finding.remedy) == (
        "No module named 'no_such_codec'",
        "pip install 'kafka-python[snappy,lz4,crc32c]'",
    )
