"""What a command without a web server answers on its port."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from django.core.management.base import CommandError

from events import probes as module
from events.probes import Health, probes


class Probed:
    """A running server, and the health that its loop would tell."""

    def __init__(self, health: Health, port: int) -> None:
        self.health = health
        self._port = port

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def failing(self, path: str) -> list[str] | None:
        status, body = self.get(path)
        told: list[str] | None = json.loads(body).get("failing")
        assert status == (503 if told else 200)
        return told


@pytest.fixture
def probed(caplog: pytest.LogCaptureFixture) -> Iterator[Probed]:
    with caplog.at_level("INFO", logger="events"), probes("127.0.0.1", 0) as health:
        port = next(record.port for record in caplog.records if record.getMessage() == "probes open")  # type: ignore[attr-defined]  # a field of the line
        yield Probed(health, port)


def test_before_the_first_round_it_lives_and_is_not_ready(probed: Probed) -> None:
    assert probed.failing("/healthz") is None
    assert probed.failing("/readyz") == ["start"]


def test_it_is_ready_when_nothing_is_missing(probed: Probed) -> None:
    probed.health.went_round()
    assert probed.failing("/readyz") is None
    probed.health.went_round(missing="kafka")
    assert probed.failing("/readyz") == ["kafka"]
    assert probed.failing("/healthz") is None


def test_a_loop_that_stands_still_is_not_alive(probed: Probed, monkeypatch: pytest.MonkeyPatch) -> None:
    probed.health.went_round()
    monkeypatch.setattr(module, "STALLED_AFTER_S", 0.0)
    assert probed.failing("/healthz") == ["loop"]
    assert probed.failing("/readyz") == ["loop"]


def test_a_loop_one_round_of_which_may_take_longer_is_alive_meanwhile_and_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    health = Health(step_most_s=60)
    health.went_round()
    monkeypatch.setattr(module, "STALLED_AFTER_S", 0.0)
    assert health.is_alive
    assert health.missing == "loop"


def test_metrics_are_prometheus_text(probed: Probed) -> None:
    status, body = probed.get("/metrics")
    assert status == 200
    assert "# TYPE kafka_producer_messages_total counter" in body


def test_anything_else_is_not_found(probed: Probed) -> None:
    status, body = probed.get("/etc/passwd")
    assert status == 404
    assert json.loads(body) == {"title": "Not found", "status": 404, "code": "not-found"}


def test_a_port_that_is_taken_is_told_by_number_and_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(CommandError, match=rf"127\.0\.0\.1:{port} .*RELAY_PORT or CONSUMER_PORT"),
            probes("127.0.0.1", port),
        ):
            pass
