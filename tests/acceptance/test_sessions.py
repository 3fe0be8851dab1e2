"""The user's sessions: listed, ended one by one, gone on with and said again; nobody else's to see or to end."""

import base64
import json
from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.web import (
    LOGIN,
    LOGOUT,
    LOGOUT_ALL,
    ME,
    PASSWORD,
    REAUTHENTICATE,
    REFRESH,
    Answer,
    Call,
    Web,
    bearer,
)

SESSIONS = "/api/v1/users/me/sessions"
LOGIN_LOG = "/api/v1/users/me/login-log"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
REVOKED, NOT_FOUND = (401, "session-revoked"), (404, "not-found")
FORTNIGHT_S, MONTH_S = 14 * 24 * 3600, 30 * 24 * 3600


@pytest.fixture
def opened(web: Web) -> dict[str, Any]:
    """Somebody new, in a first session."""
    return web.register()


def end(web: Web, opened: dict[str, Any], session_id: str) -> Answer:
    return web.call("DELETE", f"{SESSIONS}/{session_id}", **bearer(opened["token"]))


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    told: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return told


# sessions ----------------------------------------------------------------------------------------------------


def test_sessions_are_listed_with_their_device_the_newest_first(web: Web, opened: dict[str, Any]) -> None:
    body = {"identifier": opened["user"]["username"], "password": PASSWORD}
    named = web.call("POST", LOGIN, {**body, "device_name": "Ann's phone"}, User_Agent=FIREFOX).json
    unnamed = web.call("POST", LOGIN, body, User_Agent=FIREFOX).json

    items = web.listed(SESSIONS, named["token"])

    assert [item["id"] for item in items] == [one["session_id"] for one in (unnamed, named, opened)]
    assert [item["current"] for item in items] == [False, True, False]
    assert [item["device_name"] for item in items] == [FIREFOX, "Ann's phone", ""]
    assert [(item["browser"], item["os"]) for item in items] == [("Firefox", "Linux")] * 2 + [(None, None)]
    assert {item["ip"] for item in items} == {"127.0.0.1"}
    assert {tuple(item) for item in items} == {
        ("id", "device_name", "browser", "os", "ip", "created_at", "last_used_at", "current"),
    }  # fmt: skip
    assert all(item["created_at"].endswith("Z") for item in items)


def test_last_used_moves_with_each_refresh(web: Web, opened: dict[str, Any]) -> None:
    [before] = web.listed(SESSIONS, opened["token"])

    assert web.refresh(opened["refresh_token"]).status == 200

    [after] = web.listed(SESSIONS, opened["token"])
    assert after["last_used_at"] > before["last_used_at"]
    assert after["created_at"] == before["created_at"]


def test_one_session_is_ended_and_may_be_ended_again(web: Web, opened: dict[str, Any]) -> None:
    other = web.sign_in(opened["user"])

    assert [end(web, opened, other["session_id"]).status for _ in range(2)] == [204, 204]

    assert web.me(other["token"]).told == REVOKED
    assert web.refresh(other["refresh_token"]).told == REVOKED
    assert [item["id"] for item in web.listed(SESSIONS, opened["token"])] == [opened["session_id"]]
    [event] = web.published(opened["user"]["id"], "user.logged_out")
    assert (event["scope"], event["session_id"]) == ("one", other["session_id"])


def test_ones_own_session_may_be_ended_too(web: Web, opened: dict[str, Any]) -> None:
    assert end(web, opened, opened["session_id"]).status == 204
    assert web.me(opened["token"]).told == REVOKED


def test_anothers_session_is_as_one_that_never_was(web: Web, opened: dict[str, Any]) -> None:
    stranger = web.register()

    answers = [end(web, stranger, session_id) for session_id in (opened["session_id"], str(uuid4()))]

    assert [answer.told for answer in answers] == [NOT_FOUND] * 2
    variable = ("request_id", "instance")
    told = [{name: value for name, value in answer.json.items() if name not in variable} for answer in answers]
    assert told[0] == told[1]
    assert web.me(opened["token"]).status == 200
    assert web.published(opened["user"]["id"], "user.logged_out") == []


@pytest.mark.parametrize("session_id", ["1", "me", "%00", "x" * 2000, "01a223c9-1173-76da-aa61-3d32e65f50f"])
def test_what_is_no_id_is_not_found(web: Web, opened: dict[str, Any], session_id: str) -> None:
    assert end(web, opened, session_id).told == NOT_FOUND


def test_all_but_this_one_are_ended(web: Web, opened: dict[str, Any]) -> None:
    others, stranger = [web.sign_in(opened["user"]) for _ in range(3)], web.register()

    answers = [web.call("DELETE", SESSIONS, **bearer(opened["token"])) for _ in range(2)]

    assert [(answer.status, answer.body) for answer in answers] == [(204, b"")] * 2
    assert {web.me(other["token"]).status for other in others} == {401}
    assert {web.refresh(other["refresh_token"]).status for other in others} == {401}
    assert [web.me(one["token"]).status for one in (opened, stranger)] == [200, 200]
    [event] = web.published(opened["user"]["id"], "user.logged_out")
    assert (event["scope"], event["session_id"]) == ("others", opened["session_id"])


# signing out -------------------------------------------------------------------------------------------------


def test_a_logout_needs_a_token(web: Web, opened: dict[str, Any]) -> None:
    answers = [
        web.call("POST", LOGOUT),
        web.call("POST", LOGOUT, {}),
        web.call("POST", LOGOUT, {"refresh_token": "A" * 43}),
        web.call("POST", LOGOUT, **bearer(opened["token"][:-4])),
        web.call("POST", LOGOUT, **bearer(opened["refresh_token"])),
    ]

    assert [answer.told for answer in answers] == [(401, "invalid-token")] * 5
    assert all(answer.headers["WWW-Authenticate"].startswith("Bearer") for answer in answers)
    assert web.me(opened["token"]).status == 200


def test_a_spent_refresh_token_still_signs_its_session_out(web: Web, opened: dict[str, Any]) -> None:
    following = web.refresh(opened["refresh_token"]).json

    assert web.call("POST", LOGOUT, {"refresh_token": opened["refresh_token"]}).status == 204

    assert web.refresh(following["refresh_token"]).told == REVOKED
    assert web.published(opened["user"]["id"], "user.security_alert") == []


@pytest.mark.parametrize(("path", "method"), [(LOGOUT_ALL, "POST"), (SESSIONS, "DELETE"), (SESSIONS, "GET")])
def test_the_others_need_somebody_signed_in(web: Web, path: str, method: str) -> None:
    assert web.call(method, path).told == (401, "invalid-token")


# saying it again ---------------------------------------------------------------------------------------------


def test_reauthentication_gives_an_access_token_of_now(web: Web, opened: dict[str, Any]) -> None:
    web.sql("update accounts_session set auth_time = auth_time - interval '1 h' where id = %s", opened["session_id"])
    refreshed = web.refresh(opened["refresh_token"]).json

    answer = web.call("POST", REAUTHENTICATE, {"password": PASSWORD}, **bearer(opened["token"]))

    assert answer.status == 200
    assert set(answer.json) == {"token", "token_type", "expires_in", "session_id"}
    before, after = claims(refreshed["token"]), claims(answer.json["token"])
    assert after["sid"] == before["sid"] == opened["session_id"]
    assert before["iat"] - before["auth_time"] >= 3600
    assert after["auth_time"] == after["iat"]
    assert web.me(answer.json["token"]).status == 200


def test_a_refresh_is_no_reauthentication(web: Web, opened: dict[str, Any]) -> None:
    web.sql("update accounts_session set auth_time = auth_time - interval '1 h' where id = %s", opened["session_id"])
    first = web.refresh(opened["refresh_token"]).json

    second = web.refresh(first["refresh_token"]).json

    assert claims(second["token"])["auth_time"] == claims(first["token"])["auth_time"]


@pytest.mark.parametrize("password", ["CANARY-pw-wrong", "", "x" * 60_000])
def test_a_wrong_password_leaves_the_session_as_it_was(web: Web, opened: dict[str, Any], password: str) -> None:
    answer = web.call("POST", REAUTHENTICATE, {"password": password}, **bearer(opened["token"]))

    assert answer.told == (401, "invalid-credentials")
    assert web.me(opened["token"]).status == 200
    [failure] = web.listed(LOGIN_LOG, opened["token"], outcome="failure")
    assert failure["reason"] == "wrong_password"


# how long ----------------------------------------------------------------------------------------------------


def test_it_is_told_how_long_a_refresh_token_may_be_used(web: Web, opened: dict[str, Any]) -> None:
    assert (opened["expires_in"], opened["refresh_expires_in"]) == (300, FORTNIGHT_S)

    near_its_end = "update accounts_session set expires_at = now() + interval '1 h' where id = %s"
    web.sql(near_its_end, opened["session_id"])

    assert 0 < web.refresh(opened["refresh_token"]).json["refresh_expires_in"] <= 3600


def test_a_session_that_nobody_refreshed_for_a_fortnight_has_ended(web: Web, opened: dict[str, Any]) -> None:
    other = web.sign_in(opened["user"])
    age = "update accounts_refreshtoken set created_at = created_at - make_interval(secs => %s) where session_id = %s"
    web.sql(age, FORTNIGHT_S, opened["session_id"])
    web.sql(age, FORTNIGHT_S - 60, other["session_id"])

    assert web.refresh(opened["refresh_token"]).told == REVOKED
    assert web.refresh(other["refresh_token"]).status == 200


def test_after_thirty_days_a_session_has_ended_whatever_happened(web: Web, opened: dict[str, Any]) -> None:
    other = web.sign_in(opened["user"])
    age = "update accounts_session set expires_at = expires_at - make_interval(secs => %s) where id = %s"
    web.sql(age, MONTH_S, opened["session_id"])

    assert web.me(opened["token"]).told == REVOKED
    assert web.refresh(opened["refresh_token"]).told == REVOKED
    assert [item["id"] for item in web.listed(SESSIONS, other["token"])] == [other["session_id"]]


def test_of_refreshes_and_ends_that_race_no_answer_is_a_fault(web: Web, opened: dict[str, Any]) -> None:
    headers = bearer(opened["token"])
    calls = [
        Call("POST", REFRESH, {"refresh_token": opened["refresh_token"]}),
        Call("DELETE", SESSIONS, headers=headers),
        Call("DELETE", f"{SESSIONS}/{opened['session_id']}", headers=headers),
        Call("POST", LOGOUT_ALL, headers=headers),
        Call("GET", ME, headers=headers),
    ]

    answers = web.race(calls * 6)

    assert {answer.status for answer in answers} <= {200, 204, 401}
    assert web.me(opened["token"]).told == REVOKED
    assert len(web.published(opened["user"]["id"], "user.logged_out")) == 1
