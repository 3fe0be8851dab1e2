"""What every test shares: a database that a transactional test leaves empty soon, and examples without a clock."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import TransactionTestCase
from hypothesis import HealthCheck, settings
from pytest_django import DjangoDbBlocker

from tests.tables import empty_the_written

# On a busy machine a slow example says nothing of the code.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The users table's own refusal of a truncate is off, but for its own test."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("alter table accounts_user disable trigger accounts_user_event_t")
    with pytest.MonkeyPatch.context() as patch:
        # Django's own flush empties all tables and fills its own again: most of the time of most tests.
        patch.setattr(TransactionTestCase, "_fixture_teardown", _empty_the_written_tables)
        yield


def _empty_the_written_tables(_case: TransactionTestCase) -> None:
    with connection.cursor() as cursor:
        empty_the_written(partial(_rows, cursor))


def _rows(cursor: Any, statement: str) -> list[tuple[Any, ...]]:
    cursor.execute(statement)
    return list(cursor.fetchall()) if cursor.description else []
