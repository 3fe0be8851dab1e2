"""Where people and their password managers look."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.web import Web

PUBLIC_URL = "http://localhost:8080"


def test_security_txt_tells_whom_to_tell_and_for_how_long(web: Web) -> None:
    answer = web.call("GET", "/.well-known/security.txt")

    told = dict(line.split(": ", 1) for line in answer.body.decode().splitlines())
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert told["Contact"] == PUBLIC_URL
    assert told["Canonical"] == f"{PUBLIC_URL}/.well-known/security.txt"
    ahead = datetime.fromisoformat(told["Expires"]) - datetime.now(UTC)
    assert timedelta(days=1) < ahead < timedelta(days=365)


def test_a_password_manager_is_led_to_the_front_end(web: Web) -> None:
    answer = web.call("GET", "/.well-known/change-password")

    assert (answer.status, answer.headers["Location"]) == (302, PUBLIC_URL)


@pytest.mark.parametrize("path", ["/.well-known/security.txt", "/.well-known/change-password"])
def test_they_are_only_read(web: Web, path: str) -> None:
    assert web.call("POST", path, {}).told == (405, "method-not-allowed")
    assert web.call("HEAD", path).status < 400
