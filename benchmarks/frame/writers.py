"""A process of `writing`, which commits single records at a steady rate; with the outbox, a relay carries them on.

Called by what measures the way of single records, once their reader is ready.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from benchmarks.frame.ground import Ground
from benchmarks.frame.relays import relays

OUTBOX, DIRECT = "outbox", "direct"
WAYS = {DIRECT: "direct send, no outbox", OUTBOX: "outbox and relay"}


def carrier(ground: Ground, way: str) -> AbstractContextManager[object]:
    """What brings to Kafka what is written this way, ready."""
    return relays(ground, processes=1) if way == OUTBOX else nullcontext()


@contextmanager
def writing(ground: Ground, way: str, *, rate: int, seconds: int) -> Iterator[subprocess.Popen[str]]:
    """The process, at work; `committed` asks it at its end."""
    arguments = (way, str(rate), str(seconds))
    writer = ground.start_in_django("frame.writing", *arguments, stdout=subprocess.PIPE)
    try:
        yield writer
    finally:
        writer.kill()
        writer.wait()


def committed(writer: subprocess.Popen[str]) -> Mapping[int, float]:
    """When each record was committed, by its number (monotonic seconds)."""
    told, _ = writer.communicate()
    return {int(n): at for n, at in json.loads(told).items()}
