"""Forgetting a person in what this app keeps: outbox records of all states, parked deliveries and dead letters.

A project calls `erase` in the transaction in which it clears its own rows. Kafka's topics forget by their retention,
and what a relay has read already is still sent as it was. docs/events-in-your-project.md.
"""

from collections.abc import Iterable, Iterator, Sequence

from events.conf import DEAD_LETTERS, EventsSettings
from events.envelope import Headers, ids_alone, own_headers
from events.inbox import operator_store as inbox
from events.inbox.dead_letters import split_copy
from events.inbox.opening import Incoming, open_record
from events.inbox.store import record_of
from events.kafka import Record
from events.outbox import operator_store as outbox
from events.outbox.publish import NotInTransaction, in_callers_transaction
from events.routing import Routes

_AT_ONCE = 500
_BYTES_AT_ONCE = 4_000_000


def erase(key: str) -> None:
    """Replace each personal member of all events of this key by null, in the caller's transaction.

    Event classes mark these members (`PersonalStr`). Tracebacks go too, and headers that we would not write. Records
    stay what they are: pending ones are sent, parked ones tried. What this project's consumer could not open, since no
    route names the type or the data is none of its class, loses all its data: nobody can tell what of it is personal.
    What is published or parked later, by this very transaction too, is not seen: call again. A call that finds nothing
    writes nothing. Raises NotInTransaction.
    """
    if not in_callers_transaction():
        raise NotInTransaction("erase() needs the transaction of the change: with transaction.atomic(): …")
    routes = EventsSettings.current().load_routes()
    # First what batches lock first.
    for ids in _slices(inbox.sizes_of(key.encode())):
        _erase_parked(ids, routes)
    for ids in _slices(outbox.sizes_of(key)):
        _erase_records(ids, routes)


def keys_set_aside() -> list[str]:
    """Of parked deliveries and dead letters: by them a project finds what was set aside after it erased the key."""
    return [key.decode(errors="replace") for key in inbox.keys_set_aside()]


def _slices(sizes: Iterable[tuple[int, int]]) -> Iterator[list[int]]:
    """The ids, some at a time: few enough to be held in memory, and one at least."""
    ids: list[int] = []
    held = 0
    for record_id, size in sizes:
        if ids and (len(ids) == _AT_ONCE or held + size > _BYTES_AT_ONCE):
            yield ids
            ids, held = [], 0
        ids.append(record_id)
        held += size
    if ids:
        yield ids


def _erase_parked(ids: Sequence[int], routes: Routes) -> None:
    changed = []
    for parked in inbox.parked(ids):
        record = record_of(parked)
        headers, value = _forgotten(record, routes) or (_ids_alone(record, routes), None)
        if parked.error or (headers, value) != (record.headers, record.value):
            changed.append(inbox.Content(parked.id, headers, value))
    if changed:
        inbox.replace(changed)


def _erase_records(ids: Sequence[int], routes: Routes) -> None:
    before = outbox.contents(ids)
    after = [_copy_forgotten(one, routes) if one.topic.endswith(DEAD_LETTERS) else _ours_forgotten(one, routes)
             for one in before]  # fmt: skip
    changed = [new for old, new in zip(before, after, strict=True) if new != old]
    if changed:
        outbox.replace(changed)


def _ours_forgotten(content: outbox.Content, routes: Routes) -> outbox.Content:
    """We have written all of its headers. The column of values takes no null."""
    headers, value = _forgotten(_record(content, content.headers), routes) or (content.headers, b"")
    return content._replace(headers=headers, value=value)


def _copy_forgotten(content: outbox.Content, routes: Routes) -> outbox.Content:
    """As the letter itself, with what we have written about it."""
    theirs, ours = split_copy(content.headers)
    record = _record(content, theirs)
    headers, value = _forgotten(record, routes) or (_ids_alone(record, routes), b"")
    return content._replace(headers=(*headers, *ours), value=value)


def _record(content: outbox.Content, headers: Headers) -> Record:
    return Record(content.topic, 0, 0, 0, content.key.encode(), headers, content.value)


def _ids_alone(record: Record, routes: Routes) -> Headers:
    return ids_alone(record.headers, key=record.key, types=routes.classes)


def _forgotten(record: Record, routes: Routes) -> tuple[Headers, bytes] | None:
    """Headers and value without what is personal; None where nobody can tell what that is."""
    opened = open_record(record, routes)
    if not isinstance(opened, Incoming):
        return None
    event_class, received = type(opened.event), opened.received
    headers = own_headers(record.headers, schema_version=event_class.schema_version)
    return headers, event_class.without_personal(received.value, version=received.schema_version)
