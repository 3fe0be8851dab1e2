"""The table of routes: what it answers, what is wrong with it, and which classes must stand in it."""

import json
import math
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command, get_commands
from pytest_django import Settings

from accounts.event_types import UserLoggedIn, UserRegistered
from events.checks import check_every_event_is_routed
from events.event import Event
from events.routing import AfterDeath, RetryPolicy, Route, Routes, event_classes, on, on_batch, unhandled


class Opened(Event, frozen=True, kw_only=True):
    type: ClassVar[str] = "door.opened"
    topic: ClassVar[str] = "user_events"


class Closed(Event, frozen=True, kw_only=True):
    type: ClassVar[str] = "door.closed"
    topic: ClassVar[str] = "user_analytics"


class AlsoOpened(Event, frozen=True, kw_only=True):
    type: ClassVar[str] = "door.opened"
    topic: ClassVar[str] = "user_events"


def ring(*_: object) -> None: ...


def names(routes: Sequence[Route]) -> list[str]:
    return [route.name for route in routes]


def test_a_types_routes_come_in_the_order_of_the_table() -> None:
    routes = Routes(on(Opened, ring, name="b"), on(Closed, ring, name="c"), on(Opened, ring, name="a"))
    assert names(routes.handlers_of("door.opened")) == ["b", "a"]
    assert names(routes.handlers_of("door.moved")) == []


def test_an_unhandled_class_is_known_and_has_no_routes() -> None:
    routes = Routes(unhandled(Opened, because="nobody minds"))
    assert routes.classes == {"door.opened": Opened}
    assert names(routes.handlers_of("door.opened")) == []


def test_topics_are_those_of_the_classes_under_their_configured_names() -> None:
    routes = Routes(on(Opened, ring, name="a"), unhandled(Closed, because="x"))
    assert routes.topics({"user_events": "u", "user_analytics": "a", "other": "o"}) == {"u", "a"}


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ((on(Opened, ring, name="a"), unhandled(Closed, because="x")), []),
        ((on(Opened, ring, name="a"), on(Closed, ring, name="a")), ["handler name 'a' stands twice"]),
        ((on(Opened, ring, name=""),), ["handler name '' is not 1 to 64 long"]),
        ((on(Opened, ring, name="a"), unhandled(Opened, because="x")), ["door.opened is routed and unhandled"]),
        ((on(Opened, ring, name="a"), on(AlsoOpened, ring, name="b")), ["type 'door.opened' is said by two classes"]),
    ],
)
def test_what_is_wrong_with_a_table_is_told(entries: tuple[Any, ...], told: list[str]) -> None:
    assert Routes(*entries).problems() == told


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (RetryPolicy(attempts=1, first_s=0.001, most_s=0.001), []),
        (RetryPolicy(attempts=1_000, after_death="continue"), []),
        (RetryPolicy(attempts=0), ["handler 'a': attempts must be 1 to 1,000, got 0"]),
        (RetryPolicy(attempts=1_001), ["handler 'a': attempts must be 1 to 1,000, got 1001"]),
        (RetryPolicy(first_s=0), ["handler 'a': first_s must be a number above 0, got 0"]),
        (RetryPolicy(first_s=math.nan), ["handler 'a': first_s must be a number above 0, got nan"]),
        (RetryPolicy(most_s=-1), ["handler 'a': most_s must be a number above 0, got -1"]),
        (RetryPolicy(most_s=math.inf), ["handler 'a': most_s must be a number above 0, got inf"]),
        (
            RetryPolicy(after_death=cast("AfterDeath", "stop")),
            ["handler 'a': after_death must be one of wait, continue, got 'stop'"],
        ),
    ],
)
@pytest.mark.parametrize("put", [on, on_batch])
def test_a_retry_policy_that_cannot_be_kept_is_told_with_its_handler(
    put: Callable[..., Route], policy: RetryPolicy, told: list[str]
) -> None:
    assert Routes(put(Opened, ring, name="a", retry=policy), on(Closed, ring, name="b")).problems() == told


EMPTY = Routes()


def test_a_class_of_an_installed_app_without_a_route_fails_the_check(settings: Settings) -> None:
    settings.EVENTS = {**settings.EVENTS, "ROUTES": f"{__name__}.EMPTY"}
    missing = {error.obj for error in check_every_event_is_routed(None) if error.id == "events.E003"}
    assert {UserRegistered, UserLoggedIn} <= missing
    assert Opened not in missing


def test_a_class_on_a_topic_that_is_not_configured_fails_the_check(settings: Settings) -> None:
    settings.EVENTS = {**settings.EVENTS, "TOPICS": {"user_analytics": "user.analytics"}}
    assert UserRegistered in {error.obj for error in check_every_event_is_routed(None) if error.id == "events.E004"}


def test_this_projects_events_are_all_routed_and_their_schemas_in_step() -> None:
    assert check_every_event_is_routed(None) == []
    assert UserRegistered in event_classes()
    call_command("schemas", check=True)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    get_commands()  # which the process remembers, so not with what is changed here
    monkeypatch.setattr(apps.get_app_config("accounts"), "path", str(tmp_path))
    return tmp_path / "schemas" / "user.registered.json"


def test_a_schema_that_differs_is_named_and_written_anew(elsewhere: Path) -> None:
    named = StringIO()
    with pytest.raises(CommandError, match="differ"):
        call_command("schemas", check=True, stdout=named)
    assert str(elsewhere) in named.getvalue().splitlines()
    assert not elsewhere.exists()
    call_command("schemas", stdout=StringIO())
    call_command("schemas", check=True)
    written = json.loads(elsewhere.read_text("utf-8"))
    assert written["title"] == "user.registered"
    assert written["$defs"]["UserRegistered"]["properties"]["email"]["x-personal"] is True
    elsewhere.write_text("{}")
    with pytest.raises(CommandError, match="differ"):
        call_command("schemas", check=True, stdout=named)
