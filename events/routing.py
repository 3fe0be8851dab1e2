"""Which handlers an event goes to: one explicit table per project, named by EVENTS["ROUTES"].

A project writes the table once (see `accounts/routes.py`); `inbox.delivery` reads it for each message.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from events.event import Event


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one handler: what the handler knows beside the event's own data."""

    event_id: UUID
    handler: str
    occurred_at: datetime

    @property
    def key(self) -> str:
        """The same for every repeat of this delivery: an idempotency key for what the handler causes."""
        return f"{self.event_id}/{self.handler}"


Handler = Callable[[Any, Delivery], None]


@dataclass(frozen=True, slots=True)
class Route:
    """One event class to one handler. `name` is stored, so renaming the function changes nothing."""

    event: type[Event]
    handler: Handler
    name: str


@dataclass(frozen=True, slots=True)
class Unhandled:
    """An event class that has no handler on purpose."""

    event: type[Event]
    because: str


def on(event: type[Event], handler: Handler, *, name: str) -> Route:
    """Route `event` to `handler` under a stable `name` (at most 64 characters)."""
    return Route(event, handler, name)


def unhandled(event: type[Event], *, because: str) -> Unhandled:
    """Say that nothing here handles `event`, and why."""
    return Unhandled(event, because)


class Routes:
    """The whole table. Wrong ones are told by `problems`, never raised at import."""

    def __init__(self, *entries: Route | Unhandled) -> None:
        self.entries = entries
        self.classes: dict[str, type[Event]] = {entry.event.type: entry.event for entry in entries}

    def handlers_of(self, event_type: str) -> Sequence[Route]:
        """The routes of one type, in the order of the table."""
        return [entry for entry in self.entries if isinstance(entry, Route) and entry.event.type == event_type]

    def problems(self) -> list[str]:
        """What is wrong with the table: names that repeat, a class that is both handled and not."""
        return [*self._repeated_names(), *self._contradictions()]

    def _repeated_names(self) -> Iterable[str]:
        names = [entry.name for entry in self.entries if isinstance(entry, Route)]
        return (f"handler name {name!r} stands twice" for name in sorted({n for n in names if names.count(n) > 1}))

    def _contradictions(self) -> Iterable[str]:
        handled = {entry.event for entry in self.entries if isinstance(entry, Route)}
        silent = {entry.event for entry in self.entries if isinstance(entry, Unhandled)}
        return (f"{event.type} is routed and unhandled" for event in handled & silent)
