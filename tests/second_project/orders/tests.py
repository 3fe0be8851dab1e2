"""The project's own tests: no Kafka, the real outbox, inbox and handlers."""

from datetime import UTC, datetime
from uuid import UUID

from django.test import TestCase
from events.errors import Permanent
from events.routing import Delivery, Routes, on
from events.testing import captured_events, deliver, deliver_pending

from orders import batches
from orders.erasure import forget_customer
from orders.event_types import OrderPlaced
from orders.models import DaySales, Order
from orders.services import place_order

PLACED = OrderPlaced(
    order_id=UUID(int=7), email="ann@example.com", cents=1_000, placed_at=datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
)


class AnOrderLeadsToSales(TestCase):
    def test_it_is_published(self) -> None:
        with captured_events() as events:
            order = place_order(email="ann@example.com", cents=1_000)

        expected = OrderPlaced(order_id=order.id, email="ann@example.com", cents=1_000, placed_at=order.placed_at)
        assert events == [expected]

    def test_it_counts_once(self) -> None:
        place_order(email="ann@example.com", cents=1_000)
        deliver_pending()
        deliver_pending()

        assert DaySales.objects.values_list("orders", "cents").get() == (1, 1_000)

    def test_it_counts_on_its_own_day(self) -> None:
        event_id = deliver(PLACED)
        deliver(PLACED, event_id=event_id)

        assert DaySales.objects.get(day="2026-01-31").orders == 1


class AnotherTableOfRoutes(TestCase):
    def test_batches_come_to_the_same(self) -> None:
        for cents in (1, 2, 3):
            place_order(email="ann@example.com", cents=cents)
        deliver_pending(routes=batches.ROUTES)

        assert sum(sales.orders for sales in DaySales.objects.all()) == 3

    def test_what_a_handler_raises_reaches_the_test_and_nothing_is_left(self) -> None:
        def refuse(event: OrderPlaced, delivery: Delivery) -> None:
            Order.objects.create(id=event.order_id, email="", cents=0, placed_at=event.placed_at)
            raise Permanent("no")

        with self.assertRaisesMessage(Permanent, "no"):
            deliver(PLACED, routes=Routes(on(OrderPlaced, refuse, name="refuse")))
        assert not Order.objects.exists()


class ACustomerIsForgotten(TestCase):
    def test_by_the_events_too_which_count_as_before(self) -> None:
        with captured_events() as events:
            order = place_order(email="ann@example.com", cents=1_000)
            forget_customer(order.id)
        deliver_pending()

        assert events == [OrderPlaced(order_id=order.id, email=None, cents=1_000, placed_at=order.placed_at)]
        assert DaySales.objects.get().orders == 1
