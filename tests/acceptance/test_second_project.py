"""A second project installs `events` alone and does as its page says: real commands, its own database, its own topics.

Its folder holds what docs/events-in-your-project.md shows. Nothing else of this repository can be imported there.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from kafka import KafkaConsumer, TopicPartition  # type: ignore[import-untyped]  # ships no types
from kafka.structs import OffsetAndMetadata  # type: ignore[import-untyped]  # as above

from devstack import Stack
from devstack.places import CHECKOUT

PROJECT = CHECKOUT / "tests/second_project"
PAGE = CHECKOUT / "docs/events-in-your-project.md"
NEVER_IMPORTED = {
    "accounts", "usercenter", "celery", "redis", "rest_framework", "django_prometheus", "events.admin",
}  # fmt: skip
# Python itself imports this first; at the end of each command it tells what the command has imported.
AT_THE_END = """
import atexit, pathlib, sys
atexit.register(lambda: pathlib.Path(__file__).with_name("imported").open("a").write("\\n".join(sys.modules) + "\\n"))
"""
# What needs no process of its own shares one: each takes a second to begin.
PREPARE = """
from django.core.management import call_command
from orders.services import place_order
call_command("migrate", verbosity=0)
call_command("kafka", "topics", "create")
place_order(email="ann@example.com", cents=1_000)
"""
LOOK_AROUND = """
from django.core.management import call_command
call_command("check", "--database", "default")
call_command("schemas", "--check")
call_command("doctor")
for words in ("outbox status", "outbox prune", "inbox status", "inbox prune", "dead_letters list"):
    call_command(*words.split())
"""
TOLD_LAST = """
deleted: 0
orders: 0 to be retried, 0 waiting behind others of their keys
orders: 0 dead letters, 0 waiting behind one
orders: never pruned
forgotten: 0
"""


@dataclass(frozen=True)
class Project:
    """The project as its developer has it: a shell in its folder."""

    site: Path
    environ: dict[str, str]
    dsn: str

    def manage(self, *arguments: str) -> str:
        """What the command says."""
        command = [sys.executable, "manage.py", *arguments]
        ran = subprocess.run(
            command, cwd=PROJECT, env=self.environ, capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, f"{arguments}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.dsn) as session:
            return session.execute(query.encode()).fetchall()

    def imported(self) -> set[str]:
        return set((self.site / "imported").read_text().splitlines())


@pytest.fixture
def project(parts: Stack, tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "events").symlink_to(CHECKOUT / "events")
    (tmp_path / "sitecustomize.py").write_text(AT_THE_END)
    address, name = urlsplit(parts.environ["DATABASE_URL"]), f"second_{uuid4().hex[:8]}"
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SECRET_KEY": uuid4().hex,
        "DATABASE_HOST": address.hostname or "",
        "DATABASE_PORT": str(address.port or 5432),
        "DATABASE_USER": address.username or "",
        "DATABASE_PASSWORD": address.password or "",
        "DATABASE_NAME": name,
        "KAFKA_BROKERS": parts.environ["KAFKA_BROKERS"],
        "KAFKA_TOPIC_ORDERS": name,
    }
    with database(parts.environ["DATABASE_URL"], name) as dsn:
        yield Project(tmp_path, environ, dsn)


@contextmanager
def database(server: str, name: str) -> Iterator[str]:
    """An empty one, dropped with the block."""
    with psycopg.connect(server, autocommit=True) as session:
        session.execute(f"create database {name}".encode())
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
        session.execute(f"drop database {name} (force)".encode())


def start_again(project: Project) -> None:
    """Let the group read the topic a second time."""
    topic, brokers = project.environ["KAFKA_TOPIC_ORDERS"], project.environ["KAFKA_BROKERS"]
    with closing(KafkaConsumer(bootstrap_servers=brokers, group_id="orders", enable_auto_commit=False)) as client:
        places = [TopicPartition(topic, number) for number in client.partitions_for_topic(topic)]
        client.commit({place: OffsetAndMetadata(0, "", -1) for place in places})


def test_a_project_with_events_alone_publishes_and_handles_by_the_two_commands(project: Project) -> None:
    topic = project.environ["KAFKA_TOPIC_ORDERS"]
    assert f"{topic}: created\n{topic}.dlq: created\n" in project.manage("shell", "--command", PREPARE)
    project.manage("relay_outbox", "--drain", "--port", "0")
    project.manage("consume_events", "--once", "--from", "earliest", "--port", "0")
    start_again(project)
    project.manage("consume_events", "--once", "--port", "0")

    assert project.rows("select orders, cents from orders_daysales") == [(1, 1_000)]
    assert project.rows("select count(published_at), count(*) from events_outbox") == [(1, 1)]
    assert project.rows('select "group" from events_inbox') == [("orders",)]
    told = project.manage("shell", "--command", LOOK_AROUND)
    assert f"\nok       partitions of {topic}: 3, as pinned\n" in told
    assert f"\n{topic}: 0 pending; 0 dead\n" in told
    assert told.endswith(TOLD_LAST)
    assert project.imported() >= {"events.outbox.relay", "events.inbox.consumer", "orders.handlers"}
    assert project.imported() & NEVER_IMPORTED == set()


def test_its_own_tests_pass_without_kafka(project: Project) -> None:
    project.environ["KAFKA_BROKERS"] = "127.0.0.1:1"
    project.manage("test")
    assert "events.testing" in project.imported()
    assert project.imported() & NEVER_IMPORTED == set()


def test_each_block_of_code_on_the_page_stands_in_the_project() -> None:
    files = [path.read_text() for path in PROJECT.rglob("*.py")]
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 6
    assert [block for block in blocks if not any(f"\n{block}" in f"\n{text}" for text in files)] == []


def test_the_page_installs_what_the_project_asks_for() -> None:
    asked = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    (installed,) = re.findall(r"^pip install (.*)$", PAGE.read_text(), re.MULTILINE)
    assert shlex.split(installed) == asked
