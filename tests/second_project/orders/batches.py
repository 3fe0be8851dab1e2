"""Another table: the same handler for whole batches, with more said of its route."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC

from django.db import connection
from events.routing import Delivery, RetryPolicy, Routes, on_batch

from orders.event_types import OrderPlaced
from orders.handlers import ADD


def add_all_to_sales(events: Sequence[tuple[OrderPlaced, Delivery]]) -> None:
    """One statement a day, however many orders it had."""
    cents = defaultdict(list)
    for event, _ in events:
        cents[event.placed_at.astimezone(UTC).date()].append(event.cents)
    with connection.cursor() as cursor:
        cursor.executemany(ADD, [(day, len(each), sum(each)) for day, each in sorted(cents.items())])


ROUTES = Routes(
    on_batch(
        OrderPlaced,
        add_all_to_sales,
        name="add-to-sales",
        retry=RetryPolicy(attempts=20, first_s=5, most_s=3_600, after_death="continue"),
        only_ours=True,
    ),
)
