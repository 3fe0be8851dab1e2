"""user.registered: one more in the figures of its day.

A count cannot tell a repeat; the inbox record of the same transaction does.
"""

from datetime import UTC

from django.db import connection

from accounts.event_types import UserRegistered
from events.routing import Delivery

_COUNT = """
insert into accounts_figure as figure (day, kind, n) values (%s, %s, 1)
on conflict (day, kind) do update set n = figure.n + 1
"""


def count_registration(event: UserRegistered, _delivery: Delivery) -> None:
    """Add one to the registrations of the event's day, in UTC."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [event.registered_at.astimezone(UTC).date(), "registered"])
