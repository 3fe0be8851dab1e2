"""Forgetting who ordered: in this app's own row, and in what `events` keeps."""

from uuid import UUID

from django.db import transaction
from events.erasure import erase

from orders.models import Order


@transaction.atomic
def forget_customer(order_id: UUID) -> None:
    """The order stays, without whose it was."""
    Order.objects.filter(id=order_id).update(email="")
    erase(str(order_id))
