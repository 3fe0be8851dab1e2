"""POST /users/login: the names it takes, and what follows from the right password."""

import json
from typing import Any

import pytest

from tests.acceptance.web import LOGIN, ME, PASSWORD, TOKEN_ANSWER, Web, bearer


@pytest.fixture(scope="module")
def bob(web: Web) -> dict[str, Any]:
    user: dict[str, Any] = web.register(username="bob", email="bob@example.com")["user"]
    return user


@pytest.fixture
def someone(web: Web) -> dict[str, Any]:
    user: dict[str, Any] = web.register()["user"]
    return user


def test_a_login_opens_a_session_and_publishes_it(web: Web, someone: dict[str, Any]) -> None:
    body = {"identifier": someone["username"], "password": PASSWORD, "device_name": "Bob's\nphone"}

    answer = web.call("POST", LOGIN, body)

    assert answer.status == 200
    assert set(answer.json) == TOKEN_ANSWER
    assert answer.json["user"] == someone
    assert web.call("GET", ME, **bearer(answer.json["token"])).status == 200
    records = "select version, value from events_outbox where key = %s and type = 'user.logged_in'"
    [(version, value)] = web.sql(records, someone["id"])
    data = json.loads(bytes(value))
    session = web.sql("select id::text, device from accounts_session where id = %s", data["session_id"])
    assert session == [(data["session_id"], "Bob's phone")]
    assert data.pop("at")
    assert (version, data) == (
        1,
        {
            "user_id": someone["id"],
            "version": 1,
            "session_id": session[0][0],
            "device": "Bob's phone",
            "ip": "127.0.0.1",
        },
    )


@pytest.mark.parametrize("member", ["identifier", "username", "email"])
def test_the_name_may_come_by_any_of_three_members(web: Web, bob: dict[str, Any], member: str) -> None:
    name = "bob@example.com" if member == "email" else "bob"

    assert web.call("POST", LOGIN, {member: name, "password": PASSWORD}).status == 200


def test_two_names_or_none_are_a_fault_of_the_request(web: Web) -> None:
    two = web.call("POST", LOGIN, {"username": "bob", "email": "bob@example.com", "password": PASSWORD})
    none = web.call("POST", LOGIN, {"password": PASSWORD})

    assert two.codes == [("/email", "only_one_of")]
    assert none.codes == [("/identifier", "required")]
