"""user.updated, user.status_changed: the cached profile is replaced, or gone.

The event is a hint: what is kept is the user as the database has it now, which is this version or a later one.
"""

from accounts.event_types import UserEvent
from accounts.projections import profile_cache
from accounts.selectors import UserGone, UserNotFound, profile_of
from events.routing import Delivery


def refresh_profile(event: UserEvent, _delivery: Delivery) -> None:
    """Put the profile, or a tombstone, unless a newer one is there. Raises CacheAway: the consumer waits for it."""
    try:
        profile = profile_of(event.user_id)
    except UserGone as gone:
        profile_cache.forget(event.user_id, gone.version)
    except UserNotFound:
        return
    else:
        profile_cache.put_if_newer(event.user_id, profile)
