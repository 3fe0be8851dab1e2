"""user.registered: one more in the figures of its day."""

from datetime import UTC

from django.db import connection

from accounts.event_types import UserRegistered
from events.routing import Delivery

# A count alone could not tell a repeat, so the event is noted in the same statement.
_COUNT = """
with counted as (
  insert into accounts_countedevent (event_id) values (%(event_id)s) on conflict do nothing returning 1)
insert into accounts_figure as figure (day, kind, n) select %(day)s, %(kind)s, 1 from counted
on conflict (day, kind) do update set n = figure.n + 1
"""


def count_registration(event: UserRegistered, delivery: Delivery) -> None:
    """Add one to the registrations of the event's day, in UTC."""
    day = event.registered_at.astimezone(UTC).date()
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"event_id": delivery.event_id, "day": day, "kind": "registered"})
