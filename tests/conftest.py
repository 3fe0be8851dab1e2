"""What every test shares: a database that a transactional test leaves empty soon, and examples without a clock."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import TransactionTestCase
from hypothesis import HealthCheck, settings
from pytest_django import DjangoDbBlocker

# On a busy machine a slow example says nothing of the code.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

# Tables in which something was written since they were last emptied, were it rolled back. What Django itself filled
# when it made the database stays.
_WRITTEN = """
select string_agg(oid::regclass::text, ', ') from pg_class
where relkind = 'r' and relnamespace = 'public'::regnamespace and pg_relation_size(oid) > 0
    and relname not in ('auth_permission', 'django_content_type', 'django_migrations')
"""


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
        cursor.execute(_WRITTEN)
        [(tables,)] = cursor.fetchall()
        if tables:
            cursor.execute(f"truncate {tables} cascade")
