"""user.registered: the welcome mail is owed, or an invitation. `outside` sends it after the commit."""

from datetime import UTC

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX

from accounts.event_types import UserRegistered
from accounts.models import User
from accounts.outside import notices
from events.routing import Delivery


def send_welcome(event: UserRegistered, delivery: Delivery) -> None:
    """Owe the new user one mail; its address and name are read when it is sent.

    Whom an administrator made, and who has no password so far, is sent the link to set one.
    """
    if User.objects.filter(pk=event.user_id, password__startswith=UNUSABLE_PASSWORD_PREFIX).exists():
        notices.request(kind="invited", user_id=event.user_id, key=delivery.key, facts={})
        return
    registered_on = event.registered_at.astimezone(UTC).date().isoformat()
    notices.request(kind="welcome", user_id=event.user_id, key=delivery.key, facts={"registered_on": registered_on})
