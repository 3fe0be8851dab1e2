"""A web process of a test's own settings: how each test that asks over HTTP gets its gunicorn."""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.db import connection

from accounts.conf import THROTTLES
from devstack import ports
from devstack.places import CHECKOUT
from tests.acceptance.web import Web
from tests.faults.proxy import Proxy

START_LIMIT_S = 60
# Every quota out of the way, but where a test is about them.
RAISED = ",".join(f"{name}=1000000/60" for name in THROTTLES if name != "login-warning")
OF_A_WEB = ("PATH", "HOME", "LANG")


@contextmanager
def serving(log: Path, **other: str) -> Iterator[Web]:
    """Outside DEBUG, as in production but for https, and with no broker, which must not matter to it.

    `other` are settings that differ (`REFRESH_GRACE_S="0"`). Database and cache are those of the test run, each behind
    a proxy of this web's own. It answers when the block begins, and has ended when the block does.
    """
    at, cache = connection.settings_dict, urlsplit(os.environ["REDIS_URL"])
    with ExitStack() as until_the_end:
        to_database = Proxy((at["HOST"], int(at["PORT"])))
        until_the_end.callback(to_database.close)
        to_cache = Proxy((str(cache.hostname), int(cache.port or 6379)))
        until_the_end.callback(to_cache.close)
        key = pem_of_a_new_key()
        environ = settings_of_a_web(key) | {
            "DATABASE_URL": _database_at("127.0.0.1", to_database.port),
            "REDIS_URL": to_cache.url(os.environ["REDIS_URL"]),
            "PORT": str(ports.free()),
            **other,
        }
        process = until_the_end.enter_context(_gunicorn(log, environ))
        dsn = _database_at(at["HOST"], at["PORT"])
        web = Web(int(environ["PORT"]), process, log, dsn, key, to_database, to_cache, environ)
        _wait_until_it_answers(web)
        yield web


def settings_of_a_web(signing_key: bytes) -> dict[str, str]:
    """All but where its parts are and the port."""
    return {name: os.environ[name] for name in OF_A_WEB if name in os.environ} | {
        "EMAIL_URL": os.environ["EMAIL_URL"],
        "KAFKA_BROKERS": "127.0.0.1:1",
        "SECRET_KEY": "CANARY-sec-" + os.urandom(32).hex(),
        "JWT_SIGNING_KEYS": base64.b64encode(signing_key).decode(),
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "PUBLIC_URL": "http://localhost:8080",
        "ALLOW_INSECURE_PUBLIC_URL": "on",
        "HTTPS_ONLY": "off",
        "THROTTLES": RAISED,
        "METRICS_TOKEN": "CANARY-sec-metrics",
    }


def pem_of_a_new_key() -> bytes:
    """A private key to sign access tokens with."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _database_at(host: str, port: object) -> str:
    at = connection.settings_dict
    user = f"{at['USER']}:{at['PASSWORD']}" if at["PASSWORD"] else at["USER"]
    return f"postgres://{user}@{host}:{port}/{at['NAME']}"


@contextmanager
def _gunicorn(log: Path, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "gunicorn", "-c", "python:usercenter.gunicorn", "usercenter.wsgi"]
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=CHECKOUT, env=environ, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_it_answers(web: Web) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        assert web.process.poll() is None, web.log.read_text()
        assert time.monotonic() < deadline, web.log.read_text()
        try:
            if web.call("GET", "/readyz").status == 200:
                return
        except ConnectionError:
            time.sleep(0.05)
