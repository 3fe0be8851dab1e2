"""A user changes what others see, or what to be told of.

Called by `api.profile` and `api.settings`. The event goes on in `events.outbox.relay`; `routes` says who hears of it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from accounts.models import Session, User, UserSettings
from accounts.services.changes import Expected, change, columns_of, locked_owner, refuse_stale, refuse_withheld
from accounts.services.transactions import in_transaction
from events.envelope import Actor


@in_transaction
def change_profile(*, session: Session, changes: Mapping[str, Any], expected: Expected, now: datetime) -> User:
    """The user, with these members changed. Publishes user.updated where one differs.

    Raises Stale, UsernameTaken; SessionRevoked if the session's user may not act any more.
    """
    user = locked_owner(session, now=now)
    refuse_stale(user.version, expected)
    former = user.username_canonical
    change(user, columns_of(changes), actor=Actor("user", str(user.pk)), now=now)
    if user.username_canonical != former:
        refuse_withheld(user)
    return user


@in_transaction
def change_settings(
    *, session: Session, changes: Mapping[str, bool], expected: Expected, now: datetime
) -> UserSettings:
    """The user's settings, with these changed; their own version and the user's grow. Publishes user.updated then.

    Raises Stale; SessionRevoked as `change_profile`.
    """
    user = locked_owner(session, now=now)
    # The user's row is locked: nobody else writes this one meanwhile, but for the handler that writes the first.
    UserSettings.objects.bulk_create([UserSettings(user_id=user.pk)], ignore_conflicts=True)
    settings = UserSettings.objects.get(pk=user.pk)
    refuse_stale(settings.version, expected)
    different = {name: value for name, value in changes.items() if getattr(settings, name) != value}
    if different:
        for name, value in different.items():
            setattr(settings, name, value)
        settings.version += 1
        settings.save()
        change(user, {}, actor=Actor("user", str(user.pk)), now=now, also=different)
    return settings
