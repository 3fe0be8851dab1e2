"""Django's handle on this app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Registers the system checks."""

    name = "accounts"

    def ready(self) -> None:
        """Checks register themselves at import."""
        from accounts import checks  # noqa: F401, PLC0415 - needs the app registry
