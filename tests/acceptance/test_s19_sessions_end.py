"""S19: what ends sessions has ended them when it is answered, in every worker, and ends no other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.acceptance.linking import CONFIRM, NEW
from tests.acceptance.mailing import RESET, Mailing, link_by
from tests.acceptance.web import (
    CHANGE_PASSWORD,
    LOGOUT,
    LOGOUT_ALL,
    ME,
    PASSWORD,
    TOKEN_ANSWER,
    Answer,
    Call,
    Web,
    bearer,
)
from tests.waiting import wait_for

CHANGE = {"current_password": PASSWORD, "new_password": NEW}
WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


@pytest.fixture
def three(web: Web) -> list[dict[str, Any]]:
    """Three sessions of somebody new."""
    first = web.register()
    return [first, *(web.sign_in(first["user"]) for _ in range(2))]


def alive(web: Web, opened: dict[str, Any]) -> bool:
    """Whether every worker lets both tokens of the session act, or neither. Spends the refresh token."""
    access = {answer.status for answer in web.race([Call("GET", ME, headers=bearer(opened["token"]))] * 8)}
    refresh = web.refresh(opened["refresh_token"]).status
    assert (access, refresh) in (({200}, 200), ({401}, 401))
    return refresh == 200


def are_waiting(web: Web, count: int) -> bool:
    """Whether so many of the web's transactions wait for a lock."""
    return bool(web.sql(WAITING)[0][0] >= count)


def change(web: Web, opened: dict[str, Any], body: dict[str, str] | None = None) -> Answer:
    return web.call("POST", CHANGE_PASSWORD, body or CHANGE, **bearer(opened["token"]))


def test_a_change_of_the_password_ends_all_other_sessions_and_renews_this_one(
    web: Web, three: list[dict[str, Any]]
) -> None:
    first, second, third = three

    answer = change(web, first)

    assert (answer.status, set(answer.json)) == (200, TOKEN_ANSWER)
    assert answer.json["session_id"] == first["session_id"]
    assert not alive(web, second)
    assert not alive(web, third)
    assert web.refresh(first["refresh_token"]).told == (401, "invalid-token")
    assert alive(web, answer.json)
    assert [web.login(first["user"]["username"], word).status for word in (PASSWORD, NEW)] == [401, 200]


def test_a_change_is_published_with_the_new_version(web: Web, three: list[dict[str, Any]]) -> None:
    user = change(web, three[0]).json["user"]

    assert user["version"] == three[0]["user"]["version"] + 1
    [event] = web.published(user["id"], "user.password_changed")
    assert event.pop("at")
    assert event == {
        "user_id": user["id"], "version": user["version"], "how": "change", "device": "", "ip": "127.0.0.1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"current_password": "CANARY-pw-wrong", "new_password": NEW}, (401, "invalid-credentials")),
        ({"current_password": PASSWORD, "new_password": "short"}, (400, "validation-error")),
        ({"current_password": PASSWORD}, (400, "validation-error")),
    ],
)
def test_a_change_that_is_refused_ends_nothing(
    web: Web, three: list[dict[str, Any]], body: dict[str, str], refused: tuple[int, str]
) -> None:
    assert change(web, three[0], body).told == refused

    assert all(alive(web, opened) for opened in three)
    assert web.published(three[0]["user"]["id"], "user.password_changed") == []


def test_of_changes_that_race_one_is_made(web: Web, three: list[dict[str, Any]]) -> None:
    calls = [
        Call("POST", CHANGE_PASSWORD, {**CHANGE, "new_password": f"{NEW}-{n}"}, bearer(three[n % 3]["token"]))
        for n in range(9)
    ]

    answers = web.race_to_the_end(calls)

    [won] = [answer for answer in answers if answer.status == 200]
    assert {answer.status for answer in answers} == {200, 401}
    assert len(web.published(three[0]["user"]["id"], "user.password_changed")) == 1
    open_ones = "select id::text from accounts_session where user_id = %s and ended_at is null"
    assert web.sql(open_ones, three[0]["user"]["id"]) == [(won.json["session_id"],)]
    assert alive(web, won.json)


@pytest.mark.parametrize("first", ["refresh", "change"])
def test_a_refresh_beside_a_change_continues_nothing_old(web: Web, three: list[dict[str, Any]], first: str) -> None:
    opened = three[0]
    calls: dict[str, Callable[[], Answer]] = {
        "refresh": lambda: web.refresh(opened["refresh_token"]),
        "change": lambda: change(web, opened),
    }
    order = [first, *(name for name in calls if name != first)]
    with ThreadPoolExecutor(2) as pool, psycopg.connect(web.dsn) as holding:
        holding.execute("select from accounts_refreshtoken where session_id = %s for update", [opened["session_id"]])
        made = {}
        for count, name in enumerate(order, start=1):
            made[name] = pool.submit(calls[name])
            wait_for(partial(are_waiting, web, count))
        holding.commit()
        answers = {name: answer.result() for name, answer in made.items()}

    assert answers["change"].status == 200
    assert answers["refresh"].status in (200, 401)
    if answers["refresh"].status == 200:
        assert web.refresh(answers["refresh"].json["refresh_token"]).status == 401
    assert alive(web, answers["change"].json)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", ME, {"display_name": "Eve"}), ("PATCH", "/api/v1/users/me/settings", {"notify_email": False}),
        ("POST", "/api/v1/users/me/email", {"new_email": "eve@example.com"}), ("DELETE", ME, None),
    ],
)  # fmt: skip
def test_a_request_that_waited_while_its_session_ended_does_nothing(
    web: Web, method: str, path: str, body: dict[str, Any] | None
) -> None:
    opened = web.register()
    user_id, headers = opened["user"]["id"], bearer(opened["token"]) | {"If-Match": "*"}
    state = "select version, (select count(*) from accounts_outsidecall) from accounts_user where id = %s"
    before = web.sql(state, user_id)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(web.dsn) as ending:
        ending.execute("select from accounts_user where id = %s for no key update", [user_id])
        late = pool.submit(web.call, method, path, body, **headers)
        wait_for(partial(are_waiting, web, 1))
        ending.execute("update accounts_session set ended_at = now() where user_id = %s", [user_id])
        ending.commit()

    assert late.result().told == (401, "session-revoked")
    assert web.sql(state, user_id) == before


def test_a_reset_ends_all_sessions_and_opens_none(web: Web, mailing: Mailing, three: list[dict[str, Any]]) -> None:
    token = link_by(RESET, web, mailing, three[0]["user"]["email"])

    assert web.call("POST", CONFIRM, {"token": token, "new_password": NEW}).status == 204

    assert not any(alive(web, opened) for opened in three)
    assert web.login(three[0]["user"]["username"], NEW).status == 200


@pytest.mark.parametrize("by", ["bearer", "refresh token"])
def test_a_logout_ends_its_session_and_may_be_repeated(web: Web, three: list[dict[str, Any]], by: str) -> None:
    first, second, third = three
    headers = bearer(first["token"]) if by == "bearer" else {}
    body = {"refresh_token": first["refresh_token"]} if by == "refresh token" else None

    assert [web.call("POST", LOGOUT, body, **headers).status for _ in range(2)] == [204, 204]

    assert not alive(web, first)
    assert alive(web, second)
    assert alive(web, third)
    [event] = web.published(first["user"]["id"], "user.logged_out")
    assert (event["scope"], event["session_id"]) == ("one", first["session_id"])


def test_a_logout_everywhere_ends_all(web: Web, three: list[dict[str, Any]]) -> None:
    other = web.register()

    assert web.call("POST", LOGOUT_ALL, **bearer(three[0]["token"])).status == 204

    assert not any(alive(web, opened) for opened in three)
    assert alive(web, other)
    [event] = web.published(three[0]["user"]["id"], "user.logged_out")
    assert (event["scope"], event["session_id"]) == ("all", None)


def test_ends_that_race_are_told_once(web: Web, three: list[dict[str, Any]]) -> None:
    calls = [Call("POST", LOGOUT, {"refresh_token": three[0]["refresh_token"]})] * 20

    assert {answer.status for answer in web.race(calls)} == {204}
    assert len(web.published(three[0]["user"]["id"], "user.logged_out")) == 1
