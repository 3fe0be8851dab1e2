"""One transaction each: change the row, publish the event."""

from django.db import transaction
from django.utils import timezone
from events.outbox.publish import publish
from uuid_utils.compat import uuid7

from orders.event_types import OrderPlaced
from orders.models import Order


@transaction.atomic
def place_order(*, email: str, cents: int) -> Order:
    """The new order. Publishes order.placed."""
    order = Order.objects.create(id=uuid7(), email=email, cents=cents, placed_at=timezone.now())
    publish(OrderPlaced(order_id=order.id, email=order.email, cents=order.cents, placed_at=order.placed_at))
    return order
