"""Owing a notice: in the caller's transaction, once a key, and never held up by a queue that is away."""

import json
import socket
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import redis
from django.db import transaction
from uuid_utils.compat import uuid7

from accounts.models import OutsideCall
from accounts.outside import notices, queue
from devstack import Stack
from devstack.places import CHECKOUT
from events.trace import following
from tests.integration.mailing import environ_for_processes

pytestmark = pytest.mark.django_db(transaction=True)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
# What a queue that is away may cost one transaction, however many notices it owes.
AWAY_COSTS_S = 5.0  # half a second is right; twenty notices that each wait would take ten


@pytest.fixture
def tasks(parts: Stack) -> Iterator["Tasks"]:
    with redis.Redis.from_url(parts.environ["CELERY_BROKER_URL"]) as client:
        client.delete("celery")
        yield Tasks(client)


class Tasks:
    """What lies in the queue."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(message) for message in self._client.lrange("celery", 0, -1)]

    def calls(self) -> list[UUID]:
        return [UUID(json.loads(b64decode(message["body"]))[0][0]) for message in self.messages()]


def owe(key: str = "some-event/some-handler") -> None:
    notices.request(kind="welcome", user_id=uuid7(), key=key, facts={"registered_on": "2026-11-24"})


def test_a_notice_is_due_at_once_and_keeps_the_trace(tasks: Tasks) -> None:
    with transaction.atomic(), following(TRACE):
        owe()

    call = OutsideCall.objects.get()
    assert call.traceparent == TRACE
    assert (call.attempts, call.settled_at, call.failed_at) == (0, None, None)
    assert call.next_attempt_at == call.created_at


def test_the_same_key_owes_nothing_more(tasks: Tasks) -> None:
    for _ in range(2):
        with transaction.atomic():
            owe()
            owe()

    assert tasks.calls() == [OutsideCall.objects.get().id]


def test_outside_a_transaction_it_is_refused() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        owe()

    assert not OutsideCall.objects.exists()


def test_a_transaction_that_is_undone_owes_nothing_and_tells_nobody(tasks: Tasks) -> None:
    with transaction.atomic():
        owe()
        transaction.set_rollback(True)

    assert not OutsideCall.objects.exists()
    assert tasks.messages() == []


def test_a_savepoint_that_is_undone_takes_only_its_own_notice_along(tasks: Tasks) -> None:
    with transaction.atomic():
        owe("kept")
        with transaction.atomic():
            owe("undone")
            transaction.set_rollback(True)

    assert tasks.calls() == [OutsideCall.objects.get(key="kept").id]


def test_a_worker_is_told_after_the_commit_and_of_the_id_alone(tasks: Tasks) -> None:
    with transaction.atomic():
        owe()
        assert tasks.messages() == []

    [message] = tasks.messages()
    call = OutsideCall.objects.get()
    assert message["content-type"] == "application/json"
    assert json.loads(b64decode(message["body"]))[:2] == [[str(call.id)], {}]
    for known in (str(call.user_id), call.key, call.traceparent):
        assert known not in json.dumps(message) + b64decode(message["body"]).decode()


@pytest.mark.parametrize("away", ["stopped", "holding still"])
def test_a_queue_that_goes_away_neither_fails_nor_holds_up_a_commit(tasks: Tasks, parts: Stack, away: str) -> None:
    with transaction.atomic():
        owe("while it was there")
    leave, return_ = {
        "stopped": (parts.valkey.stop, parts.valkey.start),
        "holding still": (parts.valkey.pause, parts.valkey.resume),
    }[away]
    leave()
    try:
        began = time.monotonic()
        with transaction.atomic():
            for n in range(20):
                owe(f"event-{n}")
        took_s = time.monotonic() - began
    finally:
        return_()

    assert took_s < AWAY_COSTS_S
    assert OutsideCall.objects.filter(settled_at=None).count() == 21


def test_after_its_return_the_queue_is_used_again(tasks: Tasks, parts: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction.atomic():
        owe("before")
    parts.valkey.kill()
    with transaction.atomic():
        owe("meanwhile")
    parts.valkey.start()
    monkeypatch.setattr(queue, "offer", queue.Queue().offer)

    with transaction.atomic():
        owe("after")

    assert tasks.calls() == [OutsideCall.objects.get(key="after").id]


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that answers no connection: its queue of unaccepted ones is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.socket() as one, socket.socket() as two:
        for client in (one, two):
            client.settimeout(0)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


OWE_IN_A_PROCESS_OF_ITS_OWN = """
import time, django
django.setup()
from django.db import transaction
from uuid_utils.compat import uuid7
from accounts.outside import notices
with transaction.atomic():
    for n in range(20):
        notices.request(kind="welcome", user_id=uuid7(), key=str(n), facts={})
    began = time.monotonic()
print(time.monotonic() - began)
"""


def test_a_queue_that_was_never_there_and_answers_nothing_does_not_hold_up_a_commit(black_hole: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", OWE_IN_A_PROCESS_OF_ITS_OWN],
        env=environ_for_processes()
        | {"CELERY_BROKER_URL": f"redis://127.0.0.1:{black_hole}/1", "DJANGO_SETTINGS_MODULE": "usercenter.settings"},
        cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert float(ended.stdout.splitlines()[-1]) < AWAY_COSTS_S
    assert ended.stdout.count("task queue away") == 1
    assert OutsideCall.objects.filter(settled_at=None).count() == 20
