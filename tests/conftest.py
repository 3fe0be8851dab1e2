"""What every test shares: a database whose tables a transactional test may flush, and examples without a clock."""

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings
from pytest_django import DjangoDbBlocker

# On a busy machine a slow example says nothing of the code.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """A flush truncates every table: the users table's own refusal of that is off, but for its own test."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("alter table accounts_user disable trigger accounts_user_event_t")
