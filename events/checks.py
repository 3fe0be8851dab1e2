"""The problems of EVENTS, of the routes and of the outbox table, as Django system checks.

The last ones need the database: `migrate`, `check --database default` and, before it begins, `relay_outbox` run them.
`doctor` looks at more.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DEFAULT_DB_ALIAS

from events.conf import EventsSettings, required_names
from events.doctor import database
from events.event import Event
from events.routing import event_classes


@register
def check_events_settings(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    """EVENTS as a whole, each problem as an error of its own."""
    try:
        problems = EventsSettings.current().problems()
    except (TypeError, AttributeError) as error:
        hint = f"EVENTS takes the fields of events.conf.EventsSettings; needed: {', '.join(required_names())}."
        return [Error(f"EVENTS: {error}", hint=hint, id="events.E001")]
    return [Error(str(problem), id="events.E002") for problem in problems]


@register
def check_every_event_is_routed(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    """Each event class of an installed app stands in the routes, handled or not on purpose, and has a topic."""
    try:
        settings = EventsSettings.current()
        routed = {entry.event for entry in settings.load_routes().entries}
    except (TypeError, AttributeError, ImportError):
        return []  # told above
    hint = 'Route it: on(…, name="…"), or unhandled(…, because="…").'
    return [
        *(Error(f"{one.type} has no entry in {settings.routes}", hint=hint, obj=one, id="events.E003")
          for one in event_classes() if one not in routed),
        *(Error(f"{one.type}: EVENTS TOPICS has no {one.topic!r}", obj=one, id="events.E004")
          for one in event_classes() if one.topic not in settings.topics),
    ]  # fmt: skip


@register
def check_every_version_can_be_read(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    """From each version that an event class ever had there is an upcaster, and from no other."""
    hint = "Event.upcasters has one for each version from 1 to schema_version - 1."
    return [
        Error(f"{one.type}: {told} version {version}", hint=hint, obj=one, id="events.E006")
        for one in event_classes()
        for version, told in _wrong_upcasters(one)
    ]


def _wrong_upcasters(event: type[Event]) -> Iterator[tuple[int, str]]:
    past = set(range(1, event.schema_version))
    yield from ((version, "no upcaster from") for version in sorted(past - event.upcasters.keys()))
    yield from ((version, "an upcaster from") for version in sorted(event.upcasters.keys() - past))


@register(Tags.database)
def check_outbox_table(
    app_configs: Sequence[AppConfig] | None, *, databases: Sequence[str] | None = None, **options: Any
) -> list[CheckMessage]:
    """How the table is made: what its ids and its shards rest on. Nothing where it is not there.

    Raises OperationalError where the database is away: silence would look as if all were well.
    """
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    return [
        Error(f"{finding.subject}: {finding.found}", hint=finding.remedy, id="events.E005")
        for finding in database.table()
        if finding.is_problem
    ]
