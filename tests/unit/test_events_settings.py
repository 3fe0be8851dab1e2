"""What EVENTS need not say, and the most that its numbers may be."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from psycopg.conninfo import conninfo_to_dict
from pytest_django import Settings

from events.conf import EventsSettings

EventsOf = Callable[[dict[str, Any]], EventsSettings]
DATABASE = {"ENGINE": "django.db.backends.postgresql", "NAME": "orders"}


@pytest.fixture
def events_of(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> EventsOf:
    """The settings of a project with such a database that does not say DATABASE_DIRECT_URL."""

    def current(database: dict[str, Any]) -> EventsSettings:
        monkeypatch.setitem(settings.DATABASES, "default", DATABASE | database)
        return EventsSettings.current()

    settings.EVENTS = {name: value for name, value in settings.EVENTS.items() if name != "DATABASE_DIRECT_URL"}
    return current


@pytest.mark.parametrize(
    ("database", "reached"),
    [
        ({"HOST": "", "PORT": "", "USER": "", "PASSWORD": ""}, {}),
        ({"HOST": "db.example", "PORT": 5433, "USER": "a@b", "PASSWORD": "p/w &+%?"},
         {"host": "db.example", "port": "5433", "user": "a@b", "password": "p/w &+%?"}),
        ({"HOST": "/run/postgresql"}, {"host": "/run/postgresql"}),
        ({"OPTIONS": {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem", "pool": True, "options": "-c a=1"}},
         {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem"}),
    ],
)  # fmt: skip
def test_the_relay_goes_to_djangos_own_database(
    events_of: EventsOf, database: dict[str, Any], reached: dict[str, str]
) -> None:
    current = events_of(database)
    assert conninfo_to_dict(current.database_direct_url) == {"dbname": "orders", **reached}
    assert current.problems() == []


def test_a_database_that_is_not_postgresql_is_told(events_of: EventsOf) -> None:
    current = events_of({"ENGINE": "django.db.backends.sqlite3"})
    assert [problem.name for problem in current.problems()] == ["DATABASE_DIRECT_URL"]


def test_its_password_is_not_shown(events_of: EventsOf) -> None:
    assert "secret" not in repr(events_of({"PASSWORD": "secret"}))


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("RELAY_PORT", 65_535), ("CONSUMER_PORT", 65_535), ("OUTBOX_RETENTION_D", 36_500),
        ("INBOX_RETENTION_D", 36_500), ("STOP_WITHIN_S", 3600),
    ],
)  # fmt: skip
def test_a_number_has_a_most(settings: Settings, name: str, most: int) -> None:
    settings.EVENTS = {**settings.EVENTS, name: most}
    assert EventsSettings.current().problems() == []

    settings.EVENTS = {**settings.EVENTS, name: most + 1}
    [problem] = EventsSettings.current().problems()
    assert (problem.name, problem.got) == (name, str(most + 1))
    assert problem.allowed.endswith(f" to {most}")


@pytest.mark.parametrize("command", ["relay_outbox", "consume_events"])
@pytest.mark.parametrize("port", ["-1", "65536", "1e3", "9" * 5000])
def test_a_port_of_the_probes_has_a_most(command: str, port: str) -> None:
    with pytest.raises(CommandError, match="argument --port: 0 to 65535"):
        call_command(command, f"--port={port}")
