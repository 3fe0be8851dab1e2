"""Our consumer as an operator runs it, `manage.py consume_events`, through the whole topic with a variant's routes.

`in_django consumer.ours VARIANT GROUP COUNT`, a process of its own, prints what it took. The clock runs from the moment
at which the first records are there to the commit of the last; so start, connections and joining the group are
outside, as they are for `reference`.
"""

import os
import signal
import time
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from benchmarks.consumer.variants import ROUTES_OF
from benchmarks.frame.figures import Taken
from events.inbox import batch
from events.inbox.group import Group
from events.kafka import Place, Record


class Timed:
    """Stands before `batch.handle` and keeps the time; asks the command to stop when `count` records are settled."""

    def __init__(self, *, count: int) -> None:
        self.taken: Taken | None = None
        self._count = count
        self._handle = batch.handle
        self._settled: dict[Place, int] = {}
        self._began: Taken | None = None

    def __call__(self, records: Sequence[Record], group: Group, **named: Any) -> batch.Progress:
        """As `batch.handle`."""
        if self._began is None:
            connection.ensure_connection()
            self._began = _now()
        progress = self._handle(records, group, **named)
        self._settled |= progress.settled
        if sum(self._settled.values()) == self._count:  # each partition's first record has offset 0
            now = _now()
            self.taken = Taken(now.seconds - self._began.seconds, now.cpu_seconds - self._began.cpu_seconds)
            os.kill(os.getpid(), signal.SIGTERM)
        return progress


def main(arguments: Sequence[str]) -> None:
    """Handle, and print."""
    variant, group, count = arguments
    timed = Timed(count=int(count))
    batch.handle = timed
    settings.EVENTS["ROUTES"] = ROUTES_OF[variant]
    call_command("consume_events", "--group", group, "--from", "earliest", "--port", "0")
    print(timed.taken)


def _now() -> Taken:
    return Taken(time.perf_counter(), time.process_time())
