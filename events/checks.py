"""The problems of EVENTS, of the routes and of the database's isolation, as Django system checks."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register

from events.conf import EventsSettings, required_names


@register
def check_events_settings(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    """EVENTS as a whole, each problem as an error of its own."""
    try:
        problems = EventsSettings.current().problems()
    except (TypeError, AttributeError) as error:
        hint = f"EVENTS takes the fields of events.conf.EventsSettings; needed: {', '.join(required_names())}."
        return [Error(f"EVENTS: {error}", hint=hint, id="events.E001")]
    return [Error(str(problem), id="events.E002") for problem in problems]
