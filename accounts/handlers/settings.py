"""user.registered: the user's settings get their first row. Until then, readers take the defaults."""

from accounts.event_types import UserRegistered
from accounts.models import UserSettings
from events.routing import Delivery


def initialise_settings(event: UserRegistered, _delivery: Delivery) -> None:
    """Write the defaults, unless the user has been quicker to choose."""
    UserSettings.objects.bulk_create([UserSettings(user_id=event.user_id)], ignore_conflicts=True)
