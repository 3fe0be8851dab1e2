"""publish(): one event becomes one record in the caller's own transaction, or is refused.

Called last in a service's transaction, after the rows were locked and changed. What was written here is sent by
`outbox.relay` once the transaction commits. Why one statement takes the transaction's number, the key's lock and
the id in this order: docs/decisions/publish.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from django.db import connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from events.conf import EventsSettings
from events.envelope import Actor, Envelope, Stamp, seal
from events.errors import EventsError
from events.event import Event
from events.outbox import store
from events.outbox.store import NewRecord
from events.trace import current_traceparent

KEYS_MOST = 1_000  # one lock each: PostgreSQL's lock table is shared by all and holds a few thousand
RECORD_BYTES_MOST = 1_000_000  # what brokers take by default, less room for framing


class NotInTransaction(EventsError):
    """publish() or erase() was called outside a transaction, or in no transaction but a test case's own.

    Open one around the change and the call together: `with transaction.atomic():`. Do not catch this.
    """


class TooManyKeys(EventsError):
    """More than 1,000 keys in one transaction would exhaust PostgreSQL's lock table: split the work."""


class OutOfOrder(EventsError):
    """A second publish() took a smaller key than the one before, which can deadlock: use publish_all()."""


class TooLarge(EventsError):
    """The event is larger than a broker takes (1,000,000 bytes with key and headers)."""


@dataclass(slots=True)
class _Written:
    """What one transaction has published so far."""

    xid: int
    last: tuple[str, str]
    keys: set[tuple[str, str]]


# By session: a PostgreSQL that crashed gives out the number of a transaction that it lost again.
_written: WeakKeyDictionary[psycopg.Connection[Any], _Written] = WeakKeyDictionary()


def publish(event: Event, *, actor: Actor | None = None) -> None:
    """Write `event` to the outbox, in the transaction of the change that it announces.

    Raises NotInTransaction, TooManyKeys, TooLarge, OutOfOrder.
    """
    publish_all([event], actor=actor)


def publish_all(events: Iterable[Event], *, actor: Actor | None = None) -> None:
    """Write several events, sorted by topic and key; those of one key keep their order. Raises as publish()."""
    if not in_callers_transaction():
        raise NotInTransaction("publish() needs the transaction of the change: with transaction.atomic(): …")
    configured = EventsSettings.current()
    _write([_sealed(event, actor, configured) for event in events])


def publish_copy(envelope: Envelope, *, event_id: UUID, event_type: str) -> None:
    """Write what is sealed already and announces nothing: a dead letter's copy. Raises TooManyKeys, TooLarge."""
    _write([NewRecord(event_id, event_type, envelope)])


def publish_in_batches(events: Sequence[Event], *, actor: Actor | None = None) -> None:
    """Publish any number of events that announce no change of a row, 1,000 a transaction of their own."""
    for start in range(0, len(events), KEYS_MOST):
        with transaction.atomic(durable=True):
            publish_all(events[start : start + KEYS_MOST], actor=actor)


class Collected:
    """What a transaction of many handlers will write, kept until all of them have run: their locks come last, sorted.

    `consumer`'s batches open it by `collecting`.
    """

    def __init__(self) -> None:
        self._records: list[NewRecord] = []

    def __len__(self) -> int:
        return len(self._records)

    def add(self, records: Sequence[NewRecord]) -> None:
        """Keep them, in the order of publishing."""
        self._records += records

    def forget_from(self, length: int) -> None:
        """Drop all but the first `length`: what published the others was undone."""
        del self._records[length:]

    def refuse_too_many_keys(self, *, since: int) -> None:
        """Of the records after the first `since`, which one handler has published. Raises TooManyKeys."""
        if len(self._records) - since <= KEYS_MOST:
            return
        if len({_lock_of(record) for record in self._records[since:]}) > KEYS_MOST:
            raise TooManyKeys(f"more than {KEYS_MOST} keys published by one handler at once")

    def write(self, *, announcements_alone: bool = False) -> None:
        """Insert what is kept, or of it only what announces the change of a row. Raises TooManyKeys."""
        chosen = [record for record in self._records if record.stream or not announcements_alone]
        for record in sorted(chosen, key=_lock_of):
            _note(store.insert(record), _lock_of(record), in_order=False)
        written = {id(record) for record in chosen}
        self._records = [record for record in self._records if id(record) not in written]


_collected: ContextVar[Collected | None] = ContextVar("collected", default=None)


@contextmanager
def collecting() -> Iterator[Collected]:
    """Within the block, publish() collects; nothing is written until `Collected.write`."""
    collected = Collected()
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)


def _write(records: Sequence[NewRecord]) -> None:
    """Sorted; within `collecting`, later."""
    for record in records:
        _refuse_too_large(record)
    collected = _collected.get()
    if collected is not None:
        collected.add(records)
        return
    for record in sorted(records, key=_lock_of):
        _note(store.insert(record), _lock_of(record))


def _sealed(event: Event, actor: Actor | None, configured: EventsSettings) -> NewRecord:
    stamp = Stamp(
        id=uuid7(),
        source=configured.source,
        time=timezone.now(),
        traceparent=current_traceparent(),
        actor=actor,
    )
    envelope = seal(event, topic=configured.topics[event.topic], stamp=stamp)
    return NewRecord(stamp.id, event.type, envelope, event.stream, event.stream_version)


def _lock_of(record: NewRecord) -> tuple[str, str]:
    return record.envelope.topic, record.envelope.key


def in_callers_transaction() -> bool:
    """Whether there is a transaction, and not a test case's own alone."""
    return any(not _is_test_cases(block) for block in connection.atomic_blocks)


def _refuse_too_large(record: NewRecord) -> None:
    size = size_of(record.envelope)
    if size > RECORD_BYTES_MOST:
        raise TooLarge(f"{record.type} has {size} bytes, at most {RECORD_BYTES_MOST} go into one record")


def size_of(envelope: Envelope) -> int:
    """Bytes of key, headers and value."""
    headers = sum(len(name.encode()) + len(value) for name, value in envelope.headers)
    return len(envelope.key.encode()) + headers + len(envelope.value)


def _note(xid: int, lock: tuple[str, str], *, in_order: bool = True) -> None:
    """Keep count of this transaction's key locks, and see that they were taken in order."""
    session = connection.connection
    written = _written.get(session)
    if written is None or written.xid != xid:
        written = _written[session] = _Written(xid, lock, set())
    written.keys.add(lock)
    if len(written.keys) > KEYS_MOST:
        raise TooManyKeys(f"more than {KEYS_MOST} keys in one transaction: split it, or publish_in_batches()")
    if in_order and lock < written.last and not _in_a_test_case():
        raise OutOfOrder(f"{lock} after {written.last}: collect the events and publish_all() them once, last")
    written.last = lock


def _in_a_test_case() -> bool:
    # Within one test case's transaction many services follow one another, in any order and without harm.
    return _is_test_cases(connection.atomic_blocks[0])


def _is_test_cases(block: Any) -> bool:
    # A test case's own transaction would hide a caller that opens none: Django marks it, privately.
    return bool(block._from_testcase)  # noqa: SLF001 - no public mark
