"""The load: publishes and notes in the ledger until SIGTERM. `fleet` starts it as a process.

Each transaction publishes a few events of random keys, is held open for a while, and is rolled back now and then, as
a whole or to a savepoint. An outage of the database is waited for; what came of a commit that it cut short, the
ledger's row alone knows.
"""

import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import ClassVar
from uuid import uuid4

from django.db import Error, connection, transaction

from events.event import Event
from events.outbox.publish import publish_all
from tests.faults.ledger import NOTE, TYPE, value_of

chance = random.Random()  # noqa: S311 - a load, not a secret
KEYS = 20
HELD_OPEN_MOST_S = 0.02
ROLLED_BACK = 0.1
TEXTS = ("", "plain", 'with "quotes",\na line and \\', "größer, 漢字, 🙂", "x" * 500)
# The database is away, going, coming, or has ended a session that was silent for too long.
_OUTAGES = ("08", "57", "25P03")


class Fact(Event, frozen=True, kw_only=True):
    """One event of the load; `mark` is unique."""

    type: ClassVar[str] = TYPE
    topic: ClassVar[str] = "user_events"

    of: str
    mark: str
    text: str

    @property
    def key(self) -> str:
        return self.of


def fact(key: str) -> Fact:
    return Fact(of=key, mark=uuid4().hex, text=chance.choice(TEXTS))


def publish_and_note(facts: Sequence[Fact]) -> None:
    """In the caller's transaction. The keys' locks are taken first, so that the ledger counts in commit order."""
    publish_all(facts)
    with connection.cursor() as cursor:
        for each in sorted(facts, key=lambda each: each.key):
            value = value_of(key=each.key, mark=each.mark, text=each.text)
            cursor.execute(NOTE, {"key": each.key, "mark": each.mark, "value": value})


def write(*, events_most: int) -> None:
    """One transaction, committed or not. Raises django.db.Error."""
    facts = [fact(f"key-{chance.randrange(KEYS)}") for _ in range(chance.randint(1, events_most))]
    with transaction.atomic():
        if chance.random() < ROLLED_BACK:
            with transaction.atomic():
                publish_and_note([fact(min(each.key for each in facts))])
                transaction.set_rollback(True)
        publish_and_note(facts)
        time.sleep(chance.uniform(0, HELD_OPEN_MOST_S))  # the load itself: transactions that commit late
        transaction.set_rollback(chance.random() < ROLLED_BACK)


def _write_or_wait(*, events_most: int) -> None:
    try:
        write(events_most=events_most)
    except Error as error:
        if not _is_outage(error):
            raise
        connection.close()
        time.sleep(0.05)  # before the next try


def _is_outage(error: Error) -> bool:
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(_OUTAGES)


def load(is_over: threading.Event, *, events_most: int, per_s: int) -> None:
    """One thread of it. What an outage held up for more than a second is not caught up with."""
    due = time.monotonic()
    while not is_over.wait(max(0.0, due - time.monotonic())):
        _write_or_wait(events_most=events_most)
        due = max(due + 1 / per_s, time.monotonic() - 1)
    connection.close()


def main() -> None:
    """`THREADS EVENTS_MOST PER_SECOND`. Ends with the first of its threads."""
    threads, events_most, per_s = map(int, sys.argv[1:])
    is_over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: is_over.set())
    with ThreadPoolExecutor(threads) as pool:
        loads = [pool.submit(load, is_over, events_most=events_most, per_s=per_s) for _ in range(threads)]
        wait(loads, return_when=FIRST_COMPLETED)
        is_over.set()
    for ended in loads:
        ended.result()
