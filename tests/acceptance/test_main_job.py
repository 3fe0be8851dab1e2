"""The main job from outside: every process for real, from a person's request to the mail, also without a broker."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest
import redis

from devstack import Stack, ports, stack
from devstack.logbook import LogBook
from devstack.run import started
from tests.acceptance.web import TOKEN_ANSWER
from tests.waiting import LIMIT_S

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@dataclass(frozen=True)
class House:
    """All processes on a stack of their own, as a client and an operator see them."""

    parts: Stack
    address: str
    log: LogBook

    def call(self, path: str, body: dict[str, str] | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
        sent = json.dumps(body).encode() if body else None
        request = urllib.request.Request(
            self.address + path, data=sent, headers={"Content-Type": "application/json", **headers}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)

    def register(self, name: str, **headers: str) -> dict[str, Any]:
        body = {"username": name, "email": f"{name}@example.com", "password": "password123"}
        status, answer = self.call("/api/v1/users/register", body, **headers)
        assert status == 201
        return answer

    def mails_to(self, address: str) -> list[Message]:
        mails = [message_from_bytes(file.read_bytes()) for file in self.parts.mailbox.glob("*.eml")]
        return [mail for mail in mails if mail["To"] == address]


def wait_for(look: Callable[[], Any], log: LogBook) -> Any:
    deadline = time.monotonic() + LIMIT_S
    while not (found := look()):
        assert time.monotonic() < deadline, log.tail()
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    name, port, log = f"main-job-{os.getpid()}", ports.free(), LogBook()
    with pytest.MonkeyPatch.context() as environ, stack(name, fresh=True, given={}) as parts:
        # Another house may be built at the same time, by another worker that runs tests of this file.
        environ.setenv("RELAY_PORT", "0")
        environ.setenv("CONSUMER_PORT", "0")
        with started(parts, name=name, port=port, out=log):
            yield House(parts, f"http://127.0.0.1:{port}", log)


def console_consumer(house: House) -> list[str]:
    """What Kafka's own tool shows of the topic, from the beginning: a line a record, headers and key first."""
    show = [f"--formatter-property=print.{part}=true" for part in ("headers", "key")]
    command = ["kafka-console-consumer", "--topic", "user.events", "--from-beginning", "--timeout-ms", "4000", *show]
    environ = os.environ | house.parts.environ
    shown = subprocess.run(
        [sys.executable, "-m", "devstack", *command],
        env=environ,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return shown.stdout.splitlines()


def handlers_of(house: House, number: int, **told: str) -> set[str]:
    """Which handlers' lines say so, once there are so many."""

    def handled() -> set[str]:
        return {line["handler"] for line in house.log.all(event="handled", **told)}

    wait_for(lambda: len(handled()) >= number, house.log)
    return handled()


def test_a_registration_leads_to_a_record_its_effects_and_one_mail(house: House) -> None:
    answer = house.register("testuser", traceparent=TRACEPARENT)
    user_id = answer["user"]["id"]

    assert set(answer) == TOKEN_ANSWER
    [mail] = wait_for(lambda: house.mails_to("testuser@example.com"), house.log)
    assert mail["Subject"] == "Welcome to usercenter"

    [line] = wait_for(lambda: [line for line in console_consumer(house) if user_id in line], house.log)
    headers, key, value = line.split("\t")
    assert key == user_id
    told = dict(header.split(":", 1) for header in headers.split(","))
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", told.pop("ce_id"))
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", told.pop("ce_time"))
    source = told.pop("ce_source")
    assert told == {
        "ce_specversion": "1.0",
        "ce_type": "user.registered",
        "ce_subject": user_id,
        "ce_dataschema": f"{source}/schemas/user.registered/1",
        "content-type": "application/json",
        "traceparent": told["traceparent"],
        "ce_authtype": "user",
        "ce_authid": user_id,
    }
    assert TRACE_ID in told["traceparent"]
    data = json.loads(value)
    assert data["username"] == "testuser"
    assert data["email"] == "testuser@example.com"
    assert data["version"] == 1
    assert "password" not in value


def test_one_trace_id_follows_a_registration_through_every_process(house: House) -> None:
    trace_id = "0123456789abcdef0123456789abcdef"
    house.register("traced", traceparent=f"00-{trace_id}-00f067aa0ba902b7-01")

    # Each process's lines come by a way of their own: the last may be there before the first.
    told = {"request", "published", "handled", "mail sent"}
    wait_for(lambda: told <= {line["event"] for line in house.log.all(trace_id=trace_id)}, house.log)
    assert handlers_of(house, 3, trace_id=trace_id) == {"send-welcome", "initialise-settings", "count-registration"}


def test_a_login_is_handled_and_the_first_read_puts_the_profile_into_the_cache(house: House) -> None:
    user_id = house.register("reader")["user"]["id"]
    cache = redis.Redis.from_url(house.parts.environ["REDIS_URL"])

    _, answer = house.call("/api/v1/users/login", {"identifier": "READER", "password": "password123"})
    assert not cache.keys(f"*{user_id}*")
    bearer = f"Bearer {answer['token']}"
    _, me = house.call("/api/v1/users/me", Authorization=bearer)
    _, profile = house.call(f"/api/v1/users/{user_id}/profile", Authorization=bearer)

    assert me["username"] == "reader"
    assert profile == {"id": user_id, "username": "reader", "display_name": "", "version": 1}
    assert len(cache.keys(f"*{user_id}*")) == 1
    cache.close()
    handled = handlers_of(house, 3, type="user.logged_in")
    assert handled == {"write-login-log", "update-last-login", "check-login"}


def test_a_broker_that_is_down_changes_nothing_for_the_user_and_the_mail_comes_later(house: House) -> None:
    house.register("before")
    house.parts.kafka.kill()
    try:
        house.register("meanwhile")
        waiting = wait_for(lambda: house.log.find(event="waiting", part="kafka"), house.log)
        assert waiting["marker"] == "kafka"
        assert house.mails_to("meanwhile@example.com") == []
    finally:
        house.parts.kafka.start()

    assert len(wait_for(lambda: house.mails_to("meanwhile@example.com"), house.log)) == 1


def test_metrics_count_all_workers_and_each_process_has_the_counters_of_kafka(house: House) -> None:
    house.register("counted")
    wait_for(lambda: house.mails_to("counted@example.com"), house.log)
    probed = [entry["port"] for entry in house.log.all(event="probes open")]
    assert len(probed) == 2  # relay and consumer
    counted = [read(port) for port in probed]

    for line in (
        r'kafka_producer_messages_total\{topic="user.events"\} [1-9]',
        r'kafka_consumer_messages_total\{topic="user.events",type="user.registered"\} [1-9]',
    ):
        assert [bool(re.search(f"^{line}", metrics, re.MULTILINE)) for metrics in counted].count(True) == 1
    for name in ("kafka_producer_errors_total", "kafka_consumer_errors_total"):
        assert all(f"# HELP {name}" in metrics for metrics in counted)
    assert [json.loads(read(port, "/readyz")) for port in probed] == [{"status": "ok"}] * 2

    web = int(house.address.rsplit(":", 1)[1])
    before = requests_for_me(read(web))
    for _ in range(20):
        with pytest.raises(urllib.request.HTTPError):
            house.call("/api/v1/users/me")
    assert requests_for_me(read(web)) == before + 20


def read(port: int, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def requests_for_me(metrics: str) -> float:
    counted = r'^django_http_requests_latency_seconds_by_view_method_count\{.*view="api/v1/users/me".*\} (.*)$'
    return sum(map(float, re.findall(counted, metrics, re.MULTILINE)))
