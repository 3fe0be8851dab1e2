"""What becomes of a delivery that was not made: set aside until its next attempt, behind another, or dead.

`batch` writes what its deliveries came to; `retries` asks the same policy after each further attempt. What is
written, the copy of a dead letter too, belongs to the caller's transaction. docs/decisions/parking.md.
"""

import traceback
from collections.abc import Sequence
from typing import NamedTuple

from events.errors import Permanent
from events.inbox import store
from events.inbox.dead_letters import copy_to_topic
from events.inbox.deliveries import Deliveries
from events.inbox.delivery import Failed, Pair, is_last
from events.inbox.group import Group
from events.inbox.opening import Incoming, Unreadable
from events.inbox.store import NewParked
from events.routing import RetryPolicy

_ERROR_MOST = 20_000  # characters of a traceback: its end says most
_BEHIND = "waiting: behind another of its key"


class Next(NamedTuple):
    """What follows a failed attempt: another in `wait_s`, or none."""

    reason: str
    error: str
    wait_s: float | None

    @property
    def is_dead(self) -> bool:
        """No attempt follows."""
        return self.wait_s is None


def next_after(failed: Failed, *, attempt: int, policy: RetryPolicy) -> Next:
    """By the route's policy; at once dead for a permanent error. `attempt` counts from 1."""
    word = "permanent" if isinstance(failed.error, Permanent) else "failed"
    wait_s = None if is_last(failed, attempt=attempt, policy=policy) else policy.wait_s(attempt)
    error = "".join(traceback.format_exception(failed.error))[-_ERROR_MOST:]
    return Next(f"{word}: {type(failed.error).__name__}", error, wait_s)


def set_aside(deliveries: Deliveries) -> list[NewParked]:
    """What failed, and what waits behind it, in the order of the events."""
    parked = [(pair.position, _failed(pair, failed)) for pair, failed in deliveries.failed]
    parked += [(pair.position, _new(pair, _BEHIND)) for pair in deliveries.behind]
    return [one for _, one in sorted(parked, key=lambda entry: entry[0])]


def unreadable_letter(one: Unreadable) -> NewParked:
    """A record that cannot be read."""
    return NewParked(one.record, "", one.identity, "", one.reason, is_dead=True)


def refused_letter(one: Incoming, reason: str) -> NewParked:
    """An event that nobody may act on."""
    return NewParked(one.record, "", one.received.id, one.received.type, reason, is_dead=True)


def park(parked: Sequence[NewParked], group: Group) -> None:
    """Write them; each dead one that was not there yet is published to its topic's dead letters."""
    written = store.park(parked, group=group.name)
    for one in parked:
        if one.is_dead and (one.handler, one.event_id) in written:
            copy_to_topic(one, group=group.name)


def _failed(pair: Pair, failed: Failed) -> NewParked:
    following = next_after(failed, attempt=1, policy=pair.route.retry)
    return _new(pair, following.reason)._replace(
        error=following.error, attempts=1, wait_s=following.wait_s, is_dead=following.is_dead
    )


def _new(pair: Pair, reason: str) -> NewParked:
    received = pair.incoming.received
    return NewParked(pair.incoming.record, pair.route.name, received.id, received.type, reason)
