"""Deliveries given up: kept whole in the table, copied to `<topic>.dlq`, replayed or discarded by an operator.

`parking` and `retries` bury in their transactions; the copy leaves through the outbox. The admin and the command
`dead_letters` replay, which makes a letter due again for the consumer, or discard. docs/dead-letters.md.
"""

from collections.abc import Collection, Iterator
from functools import partial
from uuid import UUID

from django.db import transaction

from events import observe
from events.conf import DEAD_LETTERS
from events.envelope import Envelope, Headers, traceparent_of
from events.inbox import operator_store, store
from events.inbox.opening import KEY_BYTES_MOST
from events.inbox.store import NewParked
from events.outbox.publish import RECORD_BYTES_MOST, publish_copy, size_of
from events.routing import Routes
from events.trace import following

_AT_ONCE = 1_000
_FIRST_OF_OURS = "dlq_group"


def copy_to_topic(letter: NewParked, *, group: str) -> None:
    """Publish the copy: the record as it was, with headers that say whose dead letter it is and why.

    Without value and own headers where it would be too large for Kafka. In the caller's transaction.
    """
    record = letter.record
    ours = {
        _FIRST_OF_OURS: group,
        "dlq_handler": letter.handler,
        "dlq_reason": letter.reason,
        "dlq_event_id": str(letter.event_id),
        "dlq_topic": record.topic,
        "dlq_partition": str(record.partition),
        "dlq_offset": str(record.offset),
        "dlq_attempts": str(letter.attempts),
    }
    told = tuple((name, text.encode()) for name, text in ours.items())
    topic, key = record.topic + DEAD_LETTERS, _key(record.key, letter.event_id)
    theirs = ((name, value or b"") for name, value in record.headers)  # a stranger's may have none
    envelope = Envelope(topic, key, (*theirs, *told), record.value or b"")
    if size_of(envelope) > RECORD_BYTES_MOST:
        envelope = Envelope(topic, str(letter.event_id), (*told, ("dlq_stub", b"too-large")), b"")
    publish_copy(envelope, event_id=letter.event_id, event_type=letter.type or observe.UNKNOWN)
    transaction.on_commit(partial(_tell, letter), robust=True)


def split_copy(headers: Headers) -> tuple[Headers, Headers]:
    """The headers of a copy: those that the record had, whoever wrote it, and those that `copy_to_topic` has added."""
    names = [name for name, _ in headers]
    first = len(names) - names[::-1].index(_FIRST_OF_OURS) - 1 if _FIRST_OF_OURS in names else len(names)
    return headers[:first], headers[first:]


def replay(ids: Collection[int]) -> list[int]:
    """Have the consumer try these again, as if for the first time; gives the ids of those that were dead.

    Here and in `discard`: a thousand in one transaction.
    """
    replayed = [letter_id for chosen in _steps(ids) for letter_id in operator_store.replay(chosen)]
    transaction.on_commit(partial(observe.record_replayed, ids=replayed), robust=True)
    return replayed


def discard(ids: Collection[int], *, routes: Routes) -> list[int]:
    """Give these dead letters up for good, and any of a handler that the routes do not have; gives the ids of those.

    What waited behind them goes on.
    """
    discarded = [letter_id for chosen in _steps(ids) for letter_id in _discard(chosen, routes)]
    transaction.on_commit(partial(observe.record_discarded, ids=discarded), robust=True)
    return discarded


@transaction.atomic
def _discard(ids: Collection[int], routes: Routes) -> list[int]:
    discarded = operator_store.discard(ids, known=["", *routes.names])
    for group, queue in sorted({(group, queue) for _, group, queue in discarded if queue}):
        store.promote(group=group, queue=queue, goes_on=queue[0] in routes.going_on)
    return sorted(letter_id for letter_id, _, _ in discarded)


def _steps(ids: Collection[int]) -> Iterator[list[int]]:
    ordered = sorted(set(ids))
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


def _tell(letter: NewParked) -> None:
    with following(traceparent_of(letter.record.headers)):
        observe.record_dead_letter(
            (letter.record.topic, letter.record.partition, letter.record.offset),
            event_id=letter.event_id, event_type=letter.type, handler=letter.handler, reason=letter.reason,
        )  # fmt: skip


def _key(key: bytes | None, event_id: UUID) -> str:
    """As text, since the outbox keeps nothing else; the letter's own identity where it is none, or too long."""
    try:
        text = (key or b"")[: KEY_BYTES_MOST + 1].decode()
    except UnicodeDecodeError:
        text = ""
    return text if 0 < len(text) <= KEY_BYTES_MOST and "\0" not in text else str(event_id)
