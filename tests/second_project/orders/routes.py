"""Which handlers each event goes to. Names are stored, so renaming a function is free."""

from events.routing import Routes, on

from orders.event_types import OrderPlaced
from orders.handlers import add_to_sales

ROUTES = Routes(
    on(OrderPlaced, add_to_sales, name="add-to-sales"),
)
