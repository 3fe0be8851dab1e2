"""S48: whoever can write to the queue cannot make a worker run anything; nothing a user types is a key of the cache."""

import base64
import json
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from django.test import Client
from pytest_django import DjangoDbBlocker

from accounts.models import OutsideCall, User
from accounts.outside import queue
from accounts.projections import profile_cache
from devstack import Stack
from events.testing import deliver
from tests.integration.mailing import Mailbox, registered_user, registration_of
from tests.integration.test_mail_worker import Worker
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

PICKLE, YAML = "application/x-python-serialize", "application/x-yaml"
ODD_NAMES = [
    "a\nb\r\nset x y", "a b", " ", "", "x" * 251, "x" * 5000, "\x00", "\U0001f600", "\ud83d", "e\u0301\u202e\u200b",
    "%s{}*?[]:", "ﷺ" * 80, "usercenter:profile:1", "../..",
]  # fmt: skip


class Trap:
    """Does something wherever it is unpickled."""

    def __init__(self, at: Path) -> None:
        self._at = at

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self._at),)


@pytest.fixture(scope="module")
def worker(
    parts: Stack, django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """One for all messages: that it does the next task after each shows that it lives."""
    with django_db_blocker.unblock():
        worker = Worker(tmp_path_factory.mktemp("worker") / "log")
    try:
        wait_for(lambda: worker.said(" ready."))
        yield worker
        assert worker.process.poll() is None
    finally:
        worker.process.terminate()
        worker.process.wait(timeout=30)


@pytest.fixture
def valkey(parts: Stack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(parts.environ["REDIS_URL"]) as client:
        yield client


def message(body: bytes, content_type: str, *, task: str = queue.SETTLE_CALL, encoding: str = "binary") -> str:
    """As Celery would put it into the list, but for what is odd."""
    headers = {"id": str(uuid4()), "task": task, "lang": "py", "argsrepr": "", "kwargsrepr": "", "origin": "test"}
    properties = {
        "delivery_tag": str(uuid4()), "delivery_info": {"exchange": "", "routing_key": "celery"},
        "body_encoding": "base64", "delivery_mode": 2, "priority": 0, "correlation_id": headers["id"],
    }  # fmt: skip
    return json.dumps({
        "body": base64.b64encode(body).decode(), "content-type": content_type, "content-encoding": encoding,
        "headers": headers, "properties": properties,
    })  # fmt: skip


def json_task(*args: object, **changed: Any) -> str:
    return message(json.dumps([args, {}, {}]).encode(), "application/json", encoding="utf-8", **changed)


def hostile_messages(trap: Path) -> dict[str, tuple[str, str]]:
    """Each with what the worker says of it."""
    pickled = pickle.dumps(([Trap(trap)], {}, {}))
    tagged = f'[["!!python/object/apply:os.mkdir [{trap}]"], {{}}, {{}}]'.encode()
    return {
        "pickle": (message(pickled, PICKLE), "Received invalid task message: ContentDisallowed"),
        "pickle by its short name": (message(pickled, "pickle"), "Received invalid task message: ContentDisallowed"),
        "pickle as JSON": (message(pickled, "application/json", encoding="utf-8"), "Can't decode message body"),
        "yaml": (message(tagged, YAML, encoding="utf-8"), "Received invalid task message: ContentDisallowed"),
        "a type that nobody knows": (
            message(pickled, "application/x-none"),
            "Received invalid task message: ContentDisallowed",
        ),
        "a task of another module": (json_task(str(trap), task="os.mkdir"), "unregistered task"),
        "a task that is no id": (json_task("'; drop table accounts_user; --"), '"error": "ValueError"'),
        "a task of too much": (json_task(str(uuid4()), str(uuid4())), '"error": "TypeError"'),
    }


@pytest.mark.parametrize("kind", hostile_messages(Path("x")))
def test_a_hostile_message_is_refused_and_the_worker_does_the_next(
    worker: Worker, parts: Stack, mailbox: Mailbox, tmp_path: Path, kind: str
) -> None:
    trap = tmp_path / "sprung"
    hostile, told = hostile_messages(trap)[kind]
    before = len(worker.said(told))
    with redis.Redis.from_url(parts.environ["CELERY_BROKER_URL"]) as client:
        client.lpush("celery", hostile)

    deliver(registration_of(registered_user()))

    wait_for(mailbox.mails)
    wait_for(lambda: len(worker.said(told)) > before)
    assert not trap.exists()
    assert worker.process.poll() is None


def test_no_result_of_a_task_is_kept(worker: Worker, mailbox: Mailbox, valkey: redis.Redis) -> None:
    deliver(registration_of(registered_user()))

    wait_for(lambda: OutsideCall.objects.filter(settled_at__isnull=False).exists())
    assert len(mailbox.mails()) == 1
    assert valkey.keys("celery-task-meta*") == []


def user_of_any_name(name: str) -> User:
    """Whatever the front door would say to it, but for what no text column takes."""
    text = name.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\x00", "")
    return registered_user(text[:64] or "-", email=f"{uuid4().hex}@example.com")


@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_no_name_is_in_a_key_of_the_cache(valkey: redis.Redis, client: Client, name: str) -> None:
    user = user_of_any_name(name)
    before = keys_of(valkey)

    profile_cache.put_if_newer(user.pk, {"id": str(user.pk), "username": name, "display_name": name, "version": 1})
    kept = profile_cache.read(user.pk, otherwise=_nothing_kept)
    asked = client.post("/api/v1/users/login", {"identifier": name, "password": "wrong"}, "application/json")

    assert kept["username"] == name
    assert asked.status_code in (400, 401)
    assert keys_of(valkey) - before == {f"usercenter:profile:{user.pk}".encode()}


def test_what_is_in_the_cache_is_json_of_ours_and_expires(valkey: redis.Redis) -> None:
    user = user_of_any_name("ann")
    profile = {"id": str(user.pk), "username": "ann\n'\"é", "display_name": "", "version": 1}
    before = keys_of(valkey)

    profile_cache.put_if_newer(user.pk, profile)

    [key] = keys_of(valkey) - before
    stored: Any = valkey.hgetall(key)
    assert set(stored) == {b"version", b"profile"}
    assert json.loads(stored[b"profile"]) == profile
    assert stored[b"profile"].isascii()
    assert 0 < int(str(valkey.ttl(key))) <= profile_cache.TTL_S


def keys_of(valkey: redis.Redis) -> set[bytes]:
    """All but the queue's own."""
    keys: Any = valkey.keys()
    return {key for key in keys if not key.startswith((b"celery", b"_kombu", b"unacked"))}


def _nothing_kept(_: UUID) -> dict[str, Any]:
    raise AssertionError("the cache had nothing")
