"""user.updated: the cached profile is replaced.

The event is a hint: what is kept is the user as the database has it now, which is this version or a later one.
"""

from accounts.event_types import UserUpdated
from accounts.projections import profile_cache
from accounts.selectors import UserNotFound, profile_of
from events.routing import Delivery


def refresh_profile(event: UserUpdated, _delivery: Delivery) -> None:
    """Put the profile into the cache, unless a newer one is there. Raises CacheAway: the consumer waits for it."""
    try:
        profile = profile_of(event.user_id)
    except UserNotFound:
        return
    profile_cache.put_if_newer(event.user_id, profile)
