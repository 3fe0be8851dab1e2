"""What an administrator sees of a user's events: how far each is, its handlers, and the calls that these owed."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from events.conf import EventsSettings
from tests.acceptance.administering import act, change, of
from tests.acceptance.web import Web, staff

HANDLERS = ["send-welcome", "initialise-settings", "count-registration"]
SOON = "2026-11-30T09:00:00Z"


@pytest.fixture(scope="module")
def admin(web: Web) -> dict[str, Any]:
    """Staff who may look, and change."""
    return staff(web, "view_user", "change_user")


@pytest.fixture
def user_id(web: Web) -> str:
    """Somebody whose one event is that they registered."""
    registered: str = web.register()["user"]["id"]
    return registered


def events(web: Web, admin: dict[str, Any], user_id: str) -> list[dict[str, Any]]:
    return web.listed(of(user_id, "events"), admin["token"])


def states(web: Web, admin: dict[str, Any], user_id: str) -> dict[str, Any]:
    """Of the handlers of the user's one event: each one's state, attempts and next attempt."""
    [event] = events(web, admin, user_id)
    return {one["name"]: (one["state"], one["attempts"], one["next_attempt_at"]) for one in event["handlers"]}


def event_of(web: Web, user_id: str) -> UUID:
    [(event_id,)] = web.sql("select event_id from events_outbox where key = %s", user_id)
    found: UUID = event_id
    return found


def receive(web: Web, event_id: UUID, group: str | None = None) -> None:
    """As the consumer of a group notes it, ours where none is named."""
    statement = 'insert into events_inbox ("group", event_id) values (%s, %s)'
    web.sql(statement, group or EventsSettings.current().group, event_id)


def set_aside(web: Web, user_id: str, handler: str, **other: Any) -> None:
    """As the consumer parks a delivery of the user's one event."""
    row = {
        "group": EventsSettings.current().group, "handler": handler, "event_id": event_of(web, user_id),
        "type": "user.registered", "topic": "user.events", "partition": 0, "offset": 7, "recorded_at": SOON,
        "key": user_id.encode(), "headers": b"[]", "value": b"{}", "reason": "error: ValueError", **other,
    }  # fmt: skip
    columns, values = ", ".join(f'"{name}"' for name in row), ", ".join(["%s"] * len(row))
    web.sql(f"insert into events_parked ({columns}) values ({values})", *row.values())  # noqa: S608 - our own columns


def test_an_event_is_told_with_its_actor_and_without_its_data(web: Web, admin: dict[str, Any], user_id: str) -> None:
    assert change(web, admin, user_id, {"display_name": "CANARY"}).status == 200

    answer = web.read(of(user_id, "events"), admin["token"], page_size="1")
    rest = web.read(of(user_id, "events"), admin["token"], cursor=answer.json["next"])

    [updated], [registered] = answer.json["items"], rest.json["items"]
    assert rest.json["next"] is None
    told = {name: updated[name] for name in ("type", "version", "actor", "state", "topic", "offset", "calls")}
    assert told == {
        "type": "user.updated", "version": 2, "actor": {"kind": "staff", "id": admin["user"]["id"]},
        "state": "pending", "topic": "user.events", "offset": None, "calls": [],
    }  # fmt: skip
    assert (registered["type"], registered["actor"]) == ("user.registered", {"kind": "user", "id": user_id})
    assert b"CANARY" not in answer.body + rest.body


def test_a_record_is_told_by_its_place_once_it_has_one(web: Web, admin: dict[str, Any], user_id: str) -> None:
    web.sql('update events_outbox set published_at = %s, partition = 3, "offset" = 4711 where key = %s', SOON, user_id)

    [event] = events(web, admin, user_id)

    told = {name: event[name] for name in ("state", "partition", "offset", "published_at")}
    assert told == {"state": "published", "partition": 3, "offset": 4711, "published_at": SOON}


def test_of_a_record_that_was_requeued_the_copy_is_told(web: Web, admin: dict[str, Any], user_id: str) -> None:
    web.sql("update events_outbox set dead_at = now() where key = %s", user_id)
    dead = events(web, admin, user_id)
    copied = (
        "insert into events_outbox (event_id, topic, key, shard, stream, version, type, headers, value, requeue_of)"
        " select event_id, topic || %s, key, shard, stream, version, type, headers, value, %s"
        " from events_outbox where key = %s order by id limit 1"
    )
    [(record_id,)] = web.sql("select id from events_outbox where key = %s", user_id)
    web.sql(copied, ".dlq", None, user_id)
    beside_a_dead_letter = events(web, admin, user_id)
    web.sql(copied, "", record_id, user_id)

    assert [event["state"] for event in dead] == ["dead"]
    assert beside_a_dead_letter == dead
    assert [(event["id"], event["state"]) for event in events(web, admin, user_id)] == [(dead[0]["id"], "pending")]


def test_handlers_wait_until_the_event_has_come(web: Web, admin: dict[str, Any], user_id: str) -> None:
    receive(web, event_of(web, user_id), "another-group")
    before = states(web, admin, user_id)
    receive(web, event_of(web, user_id))

    assert before == dict.fromkeys(HANDLERS, ("waiting", 0, None))
    assert states(web, admin, user_id) == dict.fromkeys(HANDLERS, ("done", 0, None))


def test_what_is_set_aside_is_told_by_handler(web: Web, admin: dict[str, Any], user_id: str) -> None:
    receive(web, event_of(web, user_id))
    set_aside(web, user_id, "send-welcome", attempts=2, next_attempt_at=SOON)
    set_aside(web, user_id, "initialise-settings", group="another-group", dead_at=SOON)
    set_aside(web, user_id, "count-registration", attempts=10, dead_at=SOON)
    set_aside(web, user_id, "a-former-one")

    assert states(web, admin, user_id) == {
        "send-welcome": ("parked", 2, SOON),
        "initialise-settings": ("done", 0, None),
        "count-registration": ("dead", 10, None),
        "a-former-one": ("parked", 0, None),
    }


def test_a_record_that_is_dead_as_a_whole_is_so_for_every_handler(
    web: Web, admin: dict[str, Any], user_id: str
) -> None:
    receive(web, event_of(web, user_id))
    set_aside(web, user_id, "", reason="unverified", dead_at=SOON)

    assert states(web, admin, user_id) == dict.fromkeys(HANDLERS, ("dead", 0, None))


def test_nobody_knows_of_events_that_the_inbox_may_have_forgotten(
    web: Web, admin: dict[str, Any], user_id: str
) -> None:
    group = EventsSettings.current().group
    web.sql("insert into events_inbox_horizon (\"group\", before) values (%s, now() + interval '1 min')", group)
    try:
        told = states(web, admin, user_id)
    finally:
        web.sql('delete from events_inbox_horizon where "group" = %s', group)

    assert told == dict.fromkeys(HANDLERS, ("unknown", 0, None))


def test_calls_are_told_with_the_event_that_they_are_owed_for(web: Web, admin: dict[str, Any], user_id: str) -> None:
    owe = (
        "insert into accounts_outsidecall (id, key, kind, facts, traceparent, created_at, attempts, next_attempt_at,"
        " settled_at, failed_at, error) values (%s, %s, %s, %s, '', now(), 3, %s, %s, %s, %s)"
    )
    event_id = event_of(web, user_id)
    host = '{"host": "hooks.example.com", "receiver": "CANARY"}'
    for n, (kind, facts, settled_at, failed_at, error) in enumerate(
        [
            ("welcome", "{}", SOON, None, ""),
            ("webhook", host, None, None, "answer 500"),
            ("webhook", host, None, SOON, "answer 410"),
            ("verify", "{}", SOON, None, "the user is gone"),
        ]
    ):
        web.sql(owe, uuid7(), f"{event_id}/handler/{n}", kind, facts, SOON, settled_at, failed_at, error)
    web.sql(owe, uuid7(), f"{uuid4()}/send-welcome", "welcome", "{}", SOON, None, None, "")

    [event] = events(web, admin, user_id)

    told = [(call["kind"], call["host"], call["state"], call["next_attempt_at"]) for call in event["calls"]]
    assert told == [
        ("welcome", None, "done", None),
        ("webhook", "hooks.example.com", "pending", SOON),
        ("webhook", "hooks.example.com", "given_up", None),
        ("verify", None, "skipped", None),
    ]
    assert {(call["attempts"], call["error"]) for call in event["calls"] if call["kind"] == "webhook"} == {
        (3, "answer 500"), (3, "answer 410"),
    }  # fmt: skip


def test_another_users_events_are_not_told(web: Web, admin: dict[str, Any], user_id: str) -> None:
    assert act(web, admin, of(web.register()["user"]["id"], "suspend"), {"reason": "spam"}).status == 200

    assert [event["type"] for event in events(web, admin, user_id)] == ["user.registered"]
