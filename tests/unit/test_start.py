"""What a process refuses to start with, case by case (the processes themselves: tests/acceptance)."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pytest_django import Settings

from usercenter.settings import DEVELOPMENT_SECRET_KEY, DEVELOPMENT_SIGNING_KEY
from usercenter.start import all_problems

KEY = Ed25519PrivateKey.generate()
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


OTHER_KIND = new_ec_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
LOCKED = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

Told = Callable[..., list[str]]


@pytest.fixture
def told(settings: Settings) -> Told:
    """The names that are told with these settings, all others being safe."""

    def problems(**changed: Any) -> list[str]:
        accounts = {"JWT_SIGNING_KEYS": (encoded(PEM),), "PUBLIC_URL": "https://users.example.com"}
        accounts |= {name: changed.pop(name) for name in list(changed) if name in settings.ACCOUNTS}
        safe = {
            "DEBUG": False,
            "SECRET_KEY": "vq8Yt2" * 10,
            "ALLOWED_HOSTS": ["users.example.com"],
            "ALLOW_INSECURE_PUBLIC_URL": False,
            "PUBLIC_URL": accounts["PUBLIC_URL"],
        }
        settings.ACCOUNTS = {**settings.ACCOUNTS, **accounts}
        for name, value in {**safe, **changed}.items():
            setattr(settings, name, value)
        return [problem.name for problem in all_problems()]

    return problems


def test_safe_settings_are_let_through(told: Told) -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("SECRET_KEY", "x7" * 24),
        ("SECRET_KEY", "django-insecure-" + "vq8Yt2" * 10),
        ("SECRET_KEY", DEVELOPMENT_SECRET_KEY),
        ("SECRET_KEY", "a" * 60),
        ("ALLOWED_HOSTS", []),
        ("ALLOWED_HOSTS", ["users.example.com", "*"]),
        ("PUBLIC_URL", ""),
        ("PUBLIC_URL", "http://users.example.com"),
        ("PUBLIC_URL", "users.example.com"),
        ("PUBLIC_URL", "https://"),
        ("PUBLIC_URL", "https://["),
        ("JWT_SIGNING_KEYS", ()),
        ("JWT_SIGNING_KEYS", (DEVELOPMENT_SIGNING_KEY,)),
        ("JWT_SIGNING_KEYS", (encoded(PEM), DEVELOPMENT_SIGNING_KEY)),
        ("JWT_SIGNING_KEYS", (encoded(PUBLIC),)),
        ("JWT_SIGNING_KEYS", (encoded(OTHER_KIND),)),
        ("JWT_SIGNING_KEYS", (encoded(LOCKED),)),
        ("JWT_SIGNING_KEYS", ("no/such/file.pem",)),
        ("JWT_SIGNING_KEYS", (encoded(PEM)[:-8],)),
        ("JWT_SIGNING_KEYS", (encoded(PEM), encoded(PEM))),
        ("REDIS_URL", "localhost"),
        ("REDIS_URL", "redis://localhost:port/0"),
        ("REDIS_URL", "redis://localhost:65536/0"),
        ("REDIS_URL", "redis://localhost:0/0"),
        ("REDIS_URL", "redis://localhost/cache"),
        ("REDIS_URL", "redis://localhost/0/1"),
        ("CELERY_BROKER_URL", ""),
        ("CELERY_BROKER_URL", "localhost"),
        ("CELERY_BROKER_URL", "amqp://localhost/1"),
        ("CELERY_BROKER_URL", "redis:///1"),
        ("CELERY_BROKER_URL", "redis://localhost:65536/1"),
        ("CELERY_BROKER_URL", "redis://localhost:port/1"),
        ("CELERY_BROKER_URL", "redis://localhost/queue"),
        ("ACCESS_TTL_S", 0),
        ("PASSWORD_MIN_LENGTH", 7),
        ("PASSWORD_HASHES_AT_ONCE", 0),
        ("METRICS_ALLOWED_CIDRS", ["10.0.0.1/8"]),
        ("TRUSTED_PROXIES", ["proxy"]),
        ("TRUSTED_PROXIES", ["*"]),
        ("TRUSTED_PROXIES", ["10.0.0.1/8"]),
        ("CORS_ALLOWED_ORIGINS", ["*"]),
        ("CORS_ALLOWED_ORIGINS", ["null"]),
        ("CORS_ALLOWED_ORIGINS", ["app.example.com"]),
        ("CORS_ALLOWED_ORIGINS", ["https://"]),
        ("CORS_ALLOWED_ORIGINS", ["https://*.example.com"]),
        ("CORS_ALLOWED_ORIGINS", ["https://app.example.com/"]),
        ("CORS_ALLOWED_ORIGINS", ["https://app.example.com/path"]),
        ("CORS_ALLOWED_ORIGINS", ["https://app.example.com", "https://app.example.com?x"]),
        ("CORS_ALLOWED_ORIGINS", ["https://app.example.com:443"]),
        ("CORS_ALLOWED_ORIGINS", ["http://localhost:80"]),
        ("CORS_ALLOWED_ORIGINS", ["https://App.example.com"]),
        ("CORS_ALLOWED_ORIGINS", ["https://app.example.com\n"]),
        ("CORS_ALLOWED_ORIGINS", ["https://user@app.example.com"]),
        ("CORS_ALLOWED_ORIGINS", ["file://"]),
        ("LOG_FORMAT", "xml"),
        ("WEB_WORKERS", 0),
        ("PORT", -1),
        ("PORT", 65_536),
    ],
)
def test_each_unsafe_or_senseless_value_is_told_by_its_name(told: Told, setting: str, value: Any) -> None:
    assert told(**{setting: value}) == [setting]


def test_a_key_may_lie_in_a_file(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(PEM)

    assert told(JWT_SIGNING_KEYS=(str(file),)) == []


def test_exact_origins_are_let_through(told: Told) -> None:
    exact = ["https://app.example.com", "https://app.example.com:8443", "http://localhost:3000", "http://[::1]:8443"]

    assert told(CORS_ALLOWED_ORIGINS=exact) == []


@pytest.mark.parametrize(
    "url", ["redis://localhost", "redis://localhost/", "rediss://:secret@[::1]:6380/15?ssl_cert_reqs=required"]
)
def test_cache_and_queue_may_be_any_database_of_any_host(told: Told, url: str) -> None:
    assert told(REDIS_URL=url, CELERY_BROKER_URL=url) == []


def test_http_may_be_allowed_by_name(told: Told) -> None:
    assert told(PUBLIC_URL="http://localhost:8080", ALLOW_INSECURE_PUBLIC_URL=True) == []


@pytest.mark.parametrize("password", ["postgres", "password", "usercenter", "changeme"])
def test_a_well_known_database_password_is_told(
    told: Told, settings: Settings, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", password)

    assert told() == ["DATABASE_URL"]


def test_a_well_known_database_password_is_told_also_as_a_parameter_of_the_address(
    told: Told, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings.DATABASES["default"]["OPTIONS"], "password", "postgres")

    assert told() == ["DATABASE_URL"]


@pytest.mark.parametrize(
    ("bind", "expected"),
    [("127.0.0.1", []), ("::1", []), ("[::1]", []), ("localhost", []), ("0.0.0.0", ["DEBUG"]), ("::", ["DEBUG"]),  # noqa: S104
     ("", ["DEBUG"]), ("example.com", ["DEBUG"]), ("10.0.0.1", ["DEBUG"])],
)  # fmt: skip
def test_debug_is_for_this_machine_alone(told: Told, bind: str, expected: list[str]) -> None:
    assert told(DEBUG=True, BIND=bind) == expected


def test_no_problem_repeats_a_key(told: Told) -> None:
    told(JWT_SIGNING_KEYS=(encoded(PUBLIC), "CANARY-sec-path"))

    assert "CANARY" not in str([str(problem) for problem in all_problems()])
    assert encoded(PUBLIC)[:20] not in str([str(problem) for problem in all_problems()])
