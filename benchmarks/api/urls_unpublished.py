"""Every URL of the application, but who changes a user publishes nothing. The event is still made; it is not sealed.

For `bench` alone, on a database of its own whose triggers are off: elsewhere PostgreSQL would refuse each change.
"""

from accounts.services import changes
from events.envelope import Actor
from events.event import Event
from usercenter.urls import urlpatterns

__all__ = ["urlpatterns"]


def _publish_nothing(_event: Event, *, actor: Actor | None = None) -> None:
    """In the place of `publish`."""


changes.publish = _publish_nothing  # type: ignore[attr-defined,assignment]  # its own import of the name
