"""Under DEBUG too, the API's errors are problems and never Django's pages about the inside."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.api.problems import MEDIA_TYPE


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
