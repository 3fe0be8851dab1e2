"""Our consumer with one handler, which notes when the effects of each event were committed.

`in_django consumer.handled GROUP FILE --port PORT`, started by `latency`: `manage.py consume_events` until SIGTERM;
then writes one JSON object {"n": when}. Times are of the system's monotonic clock, in seconds.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from benchmarks.frame.samples import Measured
from events.routing import Delivery, Routes, on

_handled: dict[int, float] = {}


def note(event: Measured, _delivery: Delivery) -> None:
    """When it stands."""
    transaction.on_commit(lambda: _handled.setdefault(event.n, time.monotonic()))


ROUTES = Routes(on(Measured, note, name="note"))


def main(arguments: Sequence[str]) -> None:
    """Run, then write."""
    group, file, *port = arguments
    settings.EVENTS["ROUTES"] = f"{__name__}.ROUTES"
    call_command("consume_events", "--group", group, "--from", "latest", *port)
    Path(file).write_text(json.dumps(_handled))
