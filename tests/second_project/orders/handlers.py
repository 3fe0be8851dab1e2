"""What events lead to. Called in the consumer's transaction, together with the inbox record."""

from datetime import UTC

from django.db import connection
from events.routing import Delivery

from orders.event_types import OrderPlaced

ADD = """
insert into orders_daysales as sales (day, orders, cents) values (%s, %s, %s)
on conflict (day) do update set orders = sales.orders + excluded.orders, cents = sales.cents + excluded.cents
"""


def add_to_sales(event: OrderPlaced, delivery: Delivery) -> None:
    """One order more on its day."""
    with connection.cursor() as cursor:
        cursor.execute(ADD, [event.placed_at.astimezone(UTC).date(), 1, event.cents])
