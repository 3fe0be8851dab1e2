"""One web process for all tests that ask over HTTP; each file leaves the tables empty behind it.

A web with settings of a test's own is started by `serving`.
"""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection

from accounts.projections import profile_cache
from devstack import Stack
from tests.acceptance.mailing import Mailing, mailing_of
from tests.acceptance.serving import serving
from tests.acceptance.trying import People, people_in
from tests.acceptance.web import Call, Web, bearer
from tests.tables import empty_the_written


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The test database is made for tests that say so: all need it here, be it only to leave it empty."""
    for item in items:
        if "nothing_left" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.django_db)


@pytest.fixture(scope="session")
def web_for_all(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """With the usual settings."""
    with serving(tmp_path_factory.mktemp("web") / "log") as web:
        yield web


@pytest.fixture(scope="module", autouse=True)
def nothing_left(django_db_setup: None) -> Iterator[None]:
    """Whichever webs a file has asked."""
    yield
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as tables:
        empty_the_written(lambda statement: _rows(tables.execute(statement)))


def _rows(cursor: psycopg.Cursor[Any]) -> list[Any]:
    return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def web(web_for_all: Web) -> Web:
    """The one web process; its database may have been away in the test before."""
    web_for_all.wait_until_all_serve(Call("GET", "/readyz"))
    return web_for_all


@pytest.fixture
def cache_is_asked(web: Web) -> None:
    """By every worker; a test before may have taken it away, and for a moment its readers leave it alone."""
    reader, known_to_the_cache_alone = web.register(), uuid4()
    profile_cache.put_if_newer(known_to_the_cache_alone, {"version": 1})
    path = f"/api/v1/users/{known_to_the_cache_alone}/profile"
    web.wait_until_all_serve(Call("GET", path, headers=bearer(reader["token"])))


@pytest.fixture(scope="module")
def people(web: Web) -> People:
    """Who asks hostile things."""
    return people_in(web)


@pytest.fixture(scope="session")
def worker_for_all(web_for_all: Web, parts: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailing]:
    """A worker that sends what the web processes owe, with the quotas as they are."""
    log = tmp_path_factory.mktemp("worker") / "log"
    with mailing_of(web_for_all, parts.mailbox, log, THROTTLES="") as mailing:
        yield mailing


@pytest.fixture(scope="module")
def mailing(web: Web, worker_for_all: Mailing) -> Mailing:
    """The web process's worker and its mail."""
    return worker_for_all


@pytest.fixture(scope="session")
def guarded_for_all(web_for_all: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """With the quotas as they are; who asks is told by X-Forwarded-For (`visiting`). The worker is for it too."""
    log = tmp_path_factory.mktemp("guarded") / "log"
    secret = web_for_all.environ["SECRET_KEY"]
    with serving(log, THROTTLES="", TRUSTED_PROXIES="127.0.0.1/32", SECRET_KEY=secret) as guarded:
        yield guarded


@pytest.fixture(scope="module")
def guarded(web: Web, guarded_for_all: Web) -> Web:
    """A second web process, over the same database, which may have been away in a test before."""
    guarded_for_all.wait_until_all_serve(Call("GET", "/readyz"))
    return guarded_for_all
