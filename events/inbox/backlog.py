"""What is set aside, as metrics: the consumer's command measures it while the loop runs, on a thread of its own.

All members of a group measure the same table; whoever adds them up counts it several times.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import Error, connection

from events import observe
from events.inbox import operator_store
from events.inbox.group import Group
from events.repeating import measured

_MEASURE_EVERY_S = 10.0


@contextmanager
def set_aside_measured(group: Group) -> Iterator[None]:
    """Keep the metrics of what the group has set aside; the last ones stand while the database is away."""

    def measure() -> None:
        with suppress(Error):
            observe.record_set_aside(**operator_store.count(group=group.name, going_on=group.routes.going_on)._asdict())
        connection.close()  # this thread's own, and seldom needed

    with measured(measure, every_s=_MEASURE_EVERY_S):
        yield
