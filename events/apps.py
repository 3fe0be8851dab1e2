"""Django's handle on this app."""

from django.apps import AppConfig


class EventsConfig(AppConfig):
    """Registers the system checks."""

    name = "events"
    verbose_name = "Events"

    def ready(self) -> None:
        """Checks register themselves at import."""
        from events import checks  # noqa: F401, PLC0415 - needs the app registry
