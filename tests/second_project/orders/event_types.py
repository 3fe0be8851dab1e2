"""The facts of this app. `manage.py schemas` writes their JSON Schemas beside it."""

from typing import ClassVar
from uuid import UUID

from events.event import Event, Instant, PersonalStr


class OrderPlaced(Event, frozen=True, kw_only=True):
    """Somebody has ordered something."""

    type: ClassVar[str] = "order.placed"
    topic: ClassVar[str] = "orders"

    order_id: UUID
    email: PersonalStr
    cents: int
    placed_at: Instant

    @property
    def key(self) -> str:
        """One order's events stay in order."""
        return str(self.order_id)
