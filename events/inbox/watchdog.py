"""Ends the process when the consumer's loop stands still: a handler hangs, or waits for what never comes.

The command wraps the loop in `watched`. The group would take the partitions away at `max.poll.interval`, but a process
that hangs never leaves a locked row by itself, nor takes anything up again; its supervisor starts a new one.
"""

import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from events import observe
from events.kafka import MAX_POLL_INTERVAL_S
from events.probes import Health
from events.repeating import repeated
from events.stop import end_hanging

# Well before the group gives up on this member: what hangs here is then nobody else's yet.
ROUND_MOST_S = MAX_POLL_INTERVAL_S / 2
_LOOK_EVERY_S = 1.0
_LOOKS_MOST = round(ROUND_MOST_S / _LOOK_EVERY_S)


@contextmanager
def watched(health: Health) -> Iterator[None]:
    """Until the block ends, which is the thread's whose loop tells `health`, each round may take 150 s.

    Looks are counted, not seconds: a process that was paused wakes with an old time, and its loop must come first.
    """
    thread = threading.get_ident()
    went_round_at, looks_in_vain = health.went_round_at, 0

    def watch_loop() -> float:
        nonlocal went_round_at, looks_in_vain
        looks_in_vain = looks_in_vain + 1 if health.went_round_at == went_round_at else 0
        went_round_at = health.went_round_at
        if looks_in_vain > _LOOKS_MOST:
            _end_process(thread)
        return _LOOK_EVERY_S

    with repeated(watch_loop):
        yield


def _end_process(thread: int) -> None:
    where = traceback.format_stack(sys._current_frames().get(thread))  # noqa: SLF001 - no other way to another thread's
    end_hanging(
        lambda: observe.record_round_hangs(stack="".join(where), looks=_LOOKS_MOST, exit_code=os.EX_SOFTWARE)
    )  # fmt: skip
