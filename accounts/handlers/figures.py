"""user.registered: as many more in the figures of their days, in one statement a batch.

A count cannot tell a repeat; the inbox record of the same transaction does. All consumers write the day's one row and
keep it to their commits: so it is written late, and days go in order, or two consumers would deadlock.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC

from django.db import connection

from accounts.event_types import UserRegistered
from events.routing import Delivery

_COUNT = """
insert into accounts_figure as figure (day, kind, n)
select day, 'registered', n from unnest(%s::date[], %s::bigint[]) as counted(day, n) order by day
on conflict (day, kind) do update set n = figure.n + excluded.n
"""


def count_registrations(registrations: Sequence[tuple[UserRegistered, Delivery]]) -> None:
    """Add these to the registrations of their days, in UTC."""
    days = Counter(event.registered_at.astimezone(UTC).date() for event, _ in registrations)
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [list(days), list(days.values())])
