"""HTTPS_ONLY: the API refuses plain http, pages are sent on to https, probes answer either way."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.api.problems import MEDIA_TYPE


@pytest.fixture
def client(settings: Settings) -> Client:
    settings.HTTPS_ONLY = settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.ALLOWED_HOSTS = ["users.example.com"]
    return Client(headers={"host": "users.example.com"})


@pytest.mark.parametrize("path", ["/api/v1/users/me", "/api/v1/users/login", "/api/nothing", "/.well-known/jwks.json"])
def test_plain_http_to_the_api_is_refused_and_not_sent_on(client: Client, path: str) -> None:
    answer: Any = client.post(path, {}, content_type="application/json")

    assert (answer.status_code, answer["Content-Type"]) == (403, MEDIA_TYPE)
    assert answer.json()["detail"] == "Use https."
    assert "Location" not in answer


def test_https_to_the_api_is_answered_and_asked_for_from_then_on(client: Client) -> None:
    answer = client.get("/api/v1/users/me", secure=True)

    assert answer.status_code == 401
    assert answer["Strict-Transport-Security"] == "max-age=31536000"


def test_a_page_is_sent_on_to_https(client: Client) -> None:
    answer = client.get("/admin/login/")

    assert (answer.status_code, answer["Location"]) == (301, "https://users.example.com/admin/login/")


def test_a_probe_is_answered_over_http_and_by_address(client: Client) -> None:
    answer = client.get("/healthz", headers={"host": "127.0.0.1:8080"})

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
