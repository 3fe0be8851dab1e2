"""POST /users/login: one refusal for everything that is wrong, and what follows from the right password."""

import json
from typing import Any

import pytest

from tests.acceptance.web import LOGIN, ME, PASSWORD, TOKEN_ANSWER, Answer, Web, bearer


@pytest.fixture(scope="module")
def bob(web: Web) -> dict[str, Any]:
    user: dict[str, Any] = web.register(username="bob", email="bob@example.com")["user"]
    return user


@pytest.fixture
def someone(web: Web) -> dict[str, Any]:
    user: dict[str, Any] = web.register()["user"]
    return user


def told(answer: Answer) -> tuple[object, ...]:
    body = {name: value for name, value in answer.json.items() if name != "request_id"}
    headers = [name for name in answer.headers if name not in ("Date", "X-Request-ID")]
    return answer.status, headers, answer.headers["WWW-Authenticate"], body


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


def test_whatever_is_wrong_is_answered_the_same(web: Web, bob: dict[str, Any]) -> None:
    suspended, unusable = web.register()["user"], web.register()["user"]
    web.unguarded("update accounts_user set status = 'suspended' where id = %s", suspended["id"])
    web.unguarded("update accounts_user set password = '!' where id = %s", unusable["id"])
    wrong = [
        ("bob", "wrong"), ("nobody", "wrong"), ("", "wrong"), ("bob", ""), ("nobody", ""), ("@", "wrong"),
        ("bob", "x" * 60_000), ("x" * 60_000, "wrong"), ("bob@nowhere", PASSWORD), ("an\u200bn", PASSWORD),
        (suspended["username"], "wrong"), (unusable["username"], "!"), (unusable["username"], PASSWORD),
    ]  # fmt: skip

    answers = [told(web.login(name, password)) for name, password in wrong]

    assert answers[0][0] == 401
    assert answers[0][2] == "Bearer"
    assert answers[0][3] == {
        "type": "http://localhost:8080/problems/invalid-credentials", "title": "Wrong name or password", "status": 401,
        "detail": "No account has this name and password.", "instance": LOGIN, "code": "invalid-credentials",
    }  # fmt: skip
    assert [answer for answer in answers if answer != answers[0]] == []


@pytest.mark.parametrize(
    ("status", "code"),
    [("suspended", "account-suspended"), ("pending_deletion", "account-pending-deletion")],
)
def test_the_right_password_learns_why_not(web: Web, someone: dict[str, Any], status: str, code: str) -> None:
    web.unguarded("update accounts_user set status = %s where id = %s", status, someone["id"])

    answer = web.login(someone["username"])

    assert (answer.status, answer.json["code"]) == (403, code)
    logins = "select count(*) from events_outbox where key = %s and type = 'user.logged_in'"
    assert web.sql(logins, someone["id"]) == [(0,)]


def test_a_deleted_user_is_nobody(web: Web, someone: dict[str, Any]) -> None:
    web.unguarded("update accounts_user set status = 'deleted' where id = %s", someone["id"])

    assert web.login(someone["username"]).json["code"] == "invalid-credentials"
