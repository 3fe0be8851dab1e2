"""The facts that this app publishes. Their JSON Schemas lie in `schemas/`; `routes.py` says who handles them."""

from typing import ClassVar
from uuid import UUID

from events.event import Event, Instant, PersonalStr


class UserEvent(Event, frozen=True, kw_only=True):
    """What every fact about a user carries; `version` is the user's after the change."""

    topic: ClassVar[str] = "user_events"
    stream: ClassVar[str | None] = "accounts.user"

    user_id: UUID
    version: int

    @property
    def key(self) -> str:
        """The user's id: one user's events stay in order."""
        return str(self.user_id)

    @property
    def stream_version(self) -> int | None:
        """What the users table's triggers look for."""
        return self.version


class UserRegistered(UserEvent, frozen=True, kw_only=True):
    """Somebody has signed up, or was made by an administrator."""

    type: ClassVar[str] = "user.registered"

    username: PersonalStr
    email: PersonalStr
    display_name: PersonalStr
    locale: str
    registered_at: Instant


class UserLoggedIn(UserEvent, frozen=True, kw_only=True):
    """Somebody has signed in with the right password. The user's version stays as it was."""

    type: ClassVar[str] = "user.logged_in"

    session_id: UUID
    at: Instant
    device: str
    ip: PersonalStr
