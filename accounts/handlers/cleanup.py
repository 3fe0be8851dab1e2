"""user.deleted: the confirmation is owed, then everything personal is cleared.

The event is a hint: what cannot be undone happens to a row that says itself that it is deleted, and to no other.
"""

from accounts import erasure
from accounts.event_types import UserDeleted
from events.routing import Delivery


def clean_up(event: UserDeleted, delivery: Delivery) -> None:
    """Owe the last mail, and erase the user. Raises CacheAway: the consumer waits for it."""
    erasure.clean_up(event.user_id, key=delivery.key)
