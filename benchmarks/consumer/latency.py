"""The way of single records from their commit to that of the handler's effect, with the outbox and without.

Called by `bench`: a process that writes, where wanted a relay that is ready, and our consumer with a handler that does
nothing but note the time (`handled`).
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.consumer.tables import Tables
from benchmarks.frame.ground import Ground
from benchmarks.frame.serving import serving
from benchmarks.frame.waiting import wait_for
from benchmarks.frame.writers import carrier, committed, writing

_HANDLED_WITHIN_S = 60.0


def latencies_ms(  # noqa: PLR0913 - the ground, and what to write on it
    ground: Ground, tables: Tables, way: str, *, group: str, rate: int, seconds: int
) -> list[float]:
    """Of each record, the first ones included; `rate` records a second. Raises TimeoutError where some never come."""
    with TemporaryDirectory() as folder:
        told = Path(folder, "handled.json")
        arguments = ("-m", "benchmarks.frame.in_django", "consumer.handled", group, str(told))
        with serving(ground, *arguments) as member, carrier(ground, way):
            member.wait_until_ready()
            with writing(ground, way, rate=rate, seconds=seconds) as writer:
                sent = committed(writer)
            wait_for(lambda: tables.handled(group=group) == rate * seconds, within_s=_HANDLED_WITHIN_S)
        handled = {int(n): at for n, at in json.loads(told.read_text()).items()}
    return [(handled[n] - at) * 1000 for n, at in sent.items()]
