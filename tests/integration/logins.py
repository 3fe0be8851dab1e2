"""Logins as their handlers get them: events with their deliveries, in lists."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from accounts.event_types import UserLoggedIn
from accounts.handlers import login_log, security
from accounts.models import SecurityRecord
from events.routing import Delivery

Login = tuple[UserLoggedIn, Delivery]
Handler = Callable[[Sequence[Login]], None]

NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
HANDLERS: tuple[Handler, ...] = (login_log.write_login_log, login_log.update_last_login, security.check_login)


def logged_in(user_id: UUID, at: datetime, *, device: str = "Firefox", ip: str | None = "203.0.113.7") -> UserLoggedIn:
    return UserLoggedIn(user_id=user_id, version=1, session_id=uuid7(), at=at, device=device, ip=ip)


def brought(event: UserLoggedIn, event_id: UUID | None = None) -> Login:
    return event, Delivery(event_id=event_id or uuid7(), handler="test", occurred_at=event.at)


def noted() -> set[UUID]:
    """The events that the security log has."""
    return set(SecurityRecord.objects.values_list("event_id", flat=True))
