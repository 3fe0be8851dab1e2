"""What the members of one consumer group have in common; the command builds it, `consumer` and its steps read it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from events.routing import Routes

# Event id, key and type: gives those of the events that stand in our own outbox.
IsOurs = Callable[[Sequence[tuple[UUID, str, str]]], set[UUID]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Its name and routes.

    `cluster` is the Kafka cluster's id, a part of the identity of records that cannot be read. `is_ours` tells which
    events are in the outbox; without it none is asked for. `provable_d`: for so many days the outbox surely has them;
    an older one can be ours only if it has our own `ce_source`, which is `source`.
    """

    name: str
    routes: Routes
    cluster: str = ""
    source: str = ""
    is_ours: IsOurs | None = None
    provable_d: int = 30
