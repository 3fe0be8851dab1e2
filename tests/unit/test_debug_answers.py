"""Under DEBUG too, the API's errors are problems and never Django's pages about the inside."""

from typing import Any

import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client, RequestFactory
from pytest_django import Settings

from accounts.api.problems import MEDIA_TYPE
from accounts.hashers import HashingBusy
from usercenter.middleware import ProblemMiddleware


@pytest.fixture
def client(settings: Settings) -> Client:
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = ["localhost"]
    return Client(headers={"host": "localhost"}, raise_request_exception=False)


@pytest.mark.parametrize(
    ("method", "path", "host", "status"),
    [
        ("get", "/api/nothing", "localhost", 404),
        ("post", "/api", "localhost", 404),
        ("get", "/.well-known/nothing", "localhost", 404),
        ("get", "/api/v1/users/me", "evil.example", 400),
        ("get", "/api/v1/users/me?format=api", "localhost", 401),
        ("delete", "/api/v1/users/login", "localhost", 405),
    ],
)
def test_an_error_is_a_problem(client: Client, method: str, path: str, host: str, status: int) -> None:
    answer: Any = getattr(client, method)(path, headers={"host": host})

    assert (answer.status_code, answer["Content-Type"]) == (status, MEDIA_TYPE)
    assert answer.json()["status"] == status


def test_a_view_outside_the_api_that_has_to_wait_too_long_is_a_503() -> None:
    """The admin's sign-in waits for a turn to hash, too."""
    request = RequestFactory().post("/admin/login/")

    answer = ProblemMiddleware(lambda _request: HttpResponse()).process_exception(request, HashingBusy())

    assert answer is not None
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")


@pytest.mark.parametrize(("error", "told"), [(OperationalError, ["OperationalError"]), (HashingBusy, [])])
def test_a_database_that_is_away_from_a_view_outside_the_api_is_logged(
    caplog: pytest.LogCaptureFixture, error: type[Exception], told: list[str]
) -> None:
    request = RequestFactory().get("/admin/")

    answer = ProblemMiddleware(lambda _request: HttpResponse()).process_exception(request, error("CANARY"))

    assert answer is not None
    assert answer.status_code == 503
    lines = [line for line in caplog.records if line.getMessage() == "request failed"]
    assert [(line.code, line.error) for line in lines] == [("unavailable", name) for name in told]  # type: ignore[attr-defined]  # fields of the line
    assert "CANARY" not in str([vars(line) for line in lines])
