"""user.deleted: the confirmation is owed, then everything personal is cleared.

The event is a hint: what cannot be undone happens to a row that says itself that it is deleted, and to no other.
"""

from datetime import UTC

from accounts import erasure
from accounts.event_types import UserDeleted
from accounts.models import User
from accounts.outside import notices
from events.routing import Delivery


def clean_up(event: UserDeleted, delivery: Delivery) -> None:
    """Owe the last mail, to the address that is about to be forgotten, and erase the user. Raises CacheAway."""
    for user in User.objects.locked([event.user_id]):
        if user.status != User.Status.DELETED or erasure.is_erased(user):
            continue
        on = event.at.astimezone(UTC).date().isoformat()
        notices.request(kind="deleted", email=user.email, key=delivery.key, facts={"deleted_on": on})
        erasure.erase(user)
