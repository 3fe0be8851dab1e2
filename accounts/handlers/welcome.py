"""user.registered: the welcome mail is owed. `outside` sends it after the commit."""

from datetime import UTC

from accounts.event_types import UserRegistered
from accounts.outside import notices
from events.routing import Delivery


def send_welcome(event: UserRegistered, delivery: Delivery) -> None:
    """Owe the new user one mail; its address and name are read when it is sent."""
    registered_on = event.registered_at.astimezone(UTC).date().isoformat()
    notices.request(kind="welcome", user_id=event.user_id, key=delivery.key, facts={"registered_on": registered_on})
