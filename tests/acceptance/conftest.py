"""One web process for all tests that ask over HTTP; each leaves the tables of users empty behind its file."""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.db import connection

from devstack import ports
from tests.acceptance.web import Call, Web
from tests.faults.proxy import Proxy

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 60
# Every quota out of the way, but where a test is about them.
RAISED = ",".join(
    f"{name}=1000000/60"
    for name in (
        "login-pair", "login-account", "login-address", "login-failures", "register-address", "mail-recipient",
        "mail-address",
    )
)  # fmt: skip
OF_A_WEB = ("PATH", "HOME", "LANG")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The test database is made for tests that say so: those that ask the web process need it too."""
    for item in items:
        if "web" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.django_db)


@pytest.fixture(scope="session")
def web_for_all(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Outside DEBUG, as in production but for https; no broker is there, which must not matter to it."""
    database, redis = connection.settings_dict, urlsplit(os.environ["REDIS_URL"])
    log = tmp_path_factory.mktemp("web") / "log"
    with ExitStack() as until_the_end:
        to_database = Proxy((database["HOST"], int(database["PORT"])))
        to_cache = Proxy((str(redis.hostname), int(redis.port or 6379)))
        until_the_end.callback(to_database.close)
        until_the_end.callback(to_cache.close)
        user = f"{database['USER']}:{database['PASSWORD']}" if database["PASSWORD"] else database["USER"]
        key, port = _pem_of_a_new_key(), ports.free()
        environ = {name: os.environ[name] for name in OF_A_WEB if name in os.environ} | {
            "DATABASE_URL": f"postgres://{user}@127.0.0.1:{to_database.port}/{database['NAME']}",
            "REDIS_URL": redis._replace(netloc=f"127.0.0.1:{to_cache.port}").geturl(),
            "KAFKA_BROKERS": "127.0.0.1:1",
            "SECRET_KEY": "CANARY-sec-" + os.urandom(32).hex(),
            "JWT_SIGNING_KEYS": base64.b64encode(key).decode(),
            "ALLOWED_HOSTS": "localhost,127.0.0.1",
            "PUBLIC_URL": "http://localhost:8080",
            "ALLOW_INSECURE_PUBLIC_URL": "on",
            "HTTPS_ONLY": "off",
            "THROTTLES": RAISED,
            "METRICS_TOKEN": "CANARY-sec-metrics",
            "PORT": str(port),
        }
        command = [sys.executable, "-m", "gunicorn", "-c", "python:usercenter.gunicorn", "usercenter.wsgi"]
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=out, stderr=subprocess.STDOUT)
        until_the_end.callback(process.wait, 30)
        until_the_end.callback(process.terminate)
        dsn = f"postgres://{user}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
        web = Web(port, process, log, dsn, key, to_database, to_cache)
        _wait_until_it_answers(web)
        yield web


@pytest.fixture(scope="module")
def web(web_for_all: Web) -> Iterator[Web]:
    """The one web process; its database may have been away in the test before."""
    web_for_all.wait_until_all_serve(Call("GET", "/readyz"))
    yield web_for_all
    with psycopg.connect(web_for_all.dsn, autocommit=True) as tables:
        tables.execute("truncate accounts_user, events_outbox, django_session cascade")


def _pem_of_a_new_key() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


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
