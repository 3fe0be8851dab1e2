"""Which events that arrived may be acted on: none that somebody else wrote into the topic, none from before the inbox.

`batch` sifts a batch's new events here, after the inbox has taken them in and before any handler is called.
docs/security.md, S45.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from events.errors import Permanent
from events.inbox import store
from events.inbox.group import Group
from events.inbox.opening import Incoming

# No inbox is pruned so far that it would forget an event of the last day: its horizon need not be asked for.
_SURELY_KNOWN = timedelta(days=1)


class Unverifiable(Permanent):
    """The event is older than what the outbox surely keeps, so nobody can say that it is ours."""


@dataclass(slots=True)
class Sifted:
    """Events to deliver; ids of those too old to be proved ours; and those that nobody may act on, with the reason."""

    trusted: list[Incoming] = field(default_factory=list)
    unproven: set[UUID] = field(default_factory=set)
    refused: list[tuple[Incoming, str]] = field(default_factory=list)


def sift(events: Sequence[Incoming], group: Group, *, vouched: bool = False) -> Sifted:
    """Look at new events. `vouched`: an operator said that they are not too old for the inbox."""
    now = datetime.now(UTC)
    forgotten = set() if vouched else _before_the_horizon(events, group, now)
    foreign = _not_ours(events, group)
    if not forgotten and not foreign:
        return Sifted(trusted=list(events))
    sifted = Sifted()
    for event in events:
        event_id = event.received.id
        if event_id in forgotten:
            sifted.refused.append((event, "older-than-inbox: it may have been handled before"))
        elif event_id not in foreign:
            sifted.trusted.append(event)
        elif event.received.source != group.source or created_at(event_id) > now - timedelta(days=group.provable_d):
            sifted.refused.append((event, "unverified: not in the outbox"))
        else:
            sifted.trusted.append(event)
            sifted.unproven.add(event_id)
    return sifted


def created_at(event_id: UUID) -> datetime:
    """The time in a UUID of version 7 (RFC 9562)."""
    return datetime.fromtimestamp((event_id.int >> 80) / 1000, UTC)


def _before_the_horizon(events: Sequence[Incoming], group: Group, now: datetime) -> Collection[UUID]:
    known_ms = (now - _SURELY_KNOWN).timestamp() * 1000
    old = [event.received.id for event in events if event.received.id.int >> 80 < known_ms]
    horizon = store.horizon(group=group.name) if old else None
    return {event_id for event_id in old if created_at(event_id) < horizon} if horizon else set()


def _not_ours(events: Sequence[Incoming], group: Group) -> Collection[UUID]:
    """Of the events with a handler that wants ours only, those that the outbox does not know.

    Whatever their source: anybody can write ours, and what was on its way while ours changed has the one before.
    """
    if group.is_ours is None:
        return set()
    asked = [event.received for event in events if any(route.only_ours for route in event.routes)]
    ours = group.is_ours([(one.id, one.key, one.type) for one in asked]) if asked else set()
    return {one.id for one in asked} - ours
