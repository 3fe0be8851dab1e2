"""Which handlers an event goes to: one explicit table per project, named by EVENTS["ROUTES"].

A project writes the table once (see `accounts/routes.py`); `inbox.opening` reads it for each record.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

import msgspec
from django.apps import AppConfig, apps

from events.backoff import Backoff
from events.event import Event

NAME_MOST = 64
ATTEMPTS_MOST = 1_000


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One event on its way to one handler: what the handler knows beside the event's own data.

    `traceparent` is the trace of the change; a handler of single events works under it. A Struct: one is made for each
    delivery.
    """

    event_id: UUID
    handler: str
    occurred_at: datetime
    traceparent: str = ""

    @property
    def key(self) -> str:
        """The same for every repeat of this delivery: an idempotency key for what the handler causes."""
        return f"{self.event_id}/{self.handler}"


Handler = Callable[[Any, Delivery], None]
BatchHandler = Callable[[Sequence[tuple[Any, Delivery]]], None]
AfterDeath = Literal["wait", "continue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a delivery is tried, the first time included, how long it waits in between, and what follows.

    `after_death`: whether later events of the key wait behind the dead letter, or go on.
    """

    attempts: int = 10
    first_s: float = 1.0
    most_s: float = 600.0
    after_death: AfterDeath = "wait"

    def wait_s(self, attempt: int) -> float:
        """Seconds to wait after the `attempt`th failure (from 1)."""
        return Backoff(self.first_s, self.most_s).wait_s(attempt)

    def problems(self) -> Iterator[str]:
        """What is wrong with it."""
        if not 1 <= self.attempts <= ATTEMPTS_MOST:
            yield f"attempts must be 1 to {ATTEMPTS_MOST:,}, got {self.attempts!r}"
        for name, wait_s in (("first_s", self.first_s), ("most_s", self.most_s)):
            if not 0 < wait_s < math.inf:
                yield f"{name} must be a number above 0, got {wait_s!r}"
        if self.after_death not in get_args(AfterDeath):
            yield f"after_death must be one of {', '.join(get_args(AfterDeath))}, got {self.after_death!r}"


_USUAL = RetryPolicy()  # ten attempts within about a quarter of an hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One event class to one handler. `name` is stored, so renaming the function changes nothing.

    `only_ours`: the handler acts on nothing but events that stand in our own outbox, since it destroys something or
    goes outside.
    """

    event: type[Event]
    handler: Callable[..., None]
    name: str
    is_batch: bool
    retry: RetryPolicy = _USUAL
    only_ours: bool = False


@dataclass(frozen=True, slots=True)
class Unhandled:
    """An event class that has no handler on purpose."""

    event: type[Event]
    because: str


def on(
    event: type[Event], handler: Handler, *, name: str, retry: RetryPolicy = _USUAL, only_ours: bool = False
) -> Route:
    """Route `event` to `handler` under a stable `name` (at most 64 characters); it is called once an event."""
    return Route(event=event, handler=handler, name=name, is_batch=False, retry=retry, only_ours=only_ours)


def on_batch(
    event: type[Event], handler: BatchHandler, *, name: str, retry: RetryPolicy = _USUAL, only_ours: bool = False
) -> Route:
    """As `on`, for a handler that takes a list of (event, delivery), in order, and writes them in bulk.

    It is called after the handlers of single events. When it raises, it is called again with each half.
    """
    return Route(event=event, handler=handler, name=name, is_batch=True, retry=retry, only_ours=only_ours)


def unhandled(event: type[Event], *, because: str) -> Unhandled:
    """Say that nothing here handles `event`, and why."""
    return Unhandled(event, because)


def event_classes() -> list[type[Event]]:
    """Every event class of the installed apps that this process has loaded, by type."""
    concrete = (one for one in _subclasses(Event) if hasattr(one, "type"))
    return sorted((one for one in concrete if app_of(one)), key=lambda one: one.type)


def app_of(event: type[Event]) -> AppConfig | None:
    """The installed app that defines a class; None for one of a test or a script."""
    return apps.get_containing_app_config(event.__module__)


def _subclasses(event: type[Event]) -> Iterator[type[Event]]:
    for subclass in event.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


class Routes:
    """The whole table. Wrong ones are told by `problems`, never raised at import.

    `names` are the stable names of all handlers, `going_on` of those whose dead letters hold nobody back.
    """

    def __init__(self, *entries: Route | Unhandled) -> None:
        self.entries = entries
        self.classes: dict[str, type[Event]] = {entry.event.type: entry.event for entry in entries}
        self._handled = [entry for entry in entries if isinstance(entry, Route)]
        self._by_name = {route.name: route for route in self._handled}
        self.names = frozenset(self._by_name)
        self.going_on = frozenset(route.name for route in self._handled if route.retry.after_death == "continue")
        self._by_type = {
            event_type: tuple(route for route in self._handled if route.event.type == event_type)
            for event_type in self.classes
        }

    def handlers_of(self, event_type: str) -> Sequence[Route]:
        """The routes of one type, in the order of the table."""
        return self._by_type.get(event_type, ())

    def route_named(self, name: str) -> Route | None:
        """The route of a stable name, or None where this version has none."""
        return self._by_name.get(name)

    def topics(self, names: Mapping[str, str]) -> set[str]:
        """The topics that the classes of the table live on, `names` being EVENTS["TOPICS"]."""
        return {names[entry.event.topic] for entry in self.entries}

    def problems(self) -> list[str]:
        """What is wrong with the table."""
        return [
            *self._wrong_names(), *self._repeated_names(), *self._repeated_types(), *self._contradictions(),
            *self._wrong_policies(),
        ]  # fmt: skip

    def _wrong_names(self) -> Iterable[str]:
        names = (route.name for route in self._handled)
        return (
            f"handler name {name!r} is not 1 to {NAME_MOST} long" for name in names if not 0 < len(name) <= NAME_MOST
        )

    def _repeated_names(self) -> Iterable[str]:
        counted = Counter(route.name for route in self._handled)
        return (f"handler name {name!r} stands twice" for name, count in counted.items() if count > 1)

    def _repeated_types(self) -> Iterable[str]:
        classes = {entry.event for entry in self.entries}
        counted = Counter(event.type for event in classes)
        return (f"type {event_type!r} is said by two classes" for event_type, count in counted.items() if count > 1)

    def _contradictions(self) -> Iterable[str]:
        handled = {route.event for route in self._handled}
        silent = {entry.event for entry in self.entries if isinstance(entry, Unhandled)}
        return (f"{event.type} is routed and unhandled" for event in handled & silent)

    def _wrong_policies(self) -> Iterable[str]:
        return (f"handler {route.name!r}: {told}" for route in self._handled for told in route.retry.problems())
