"""S17: a refresh token is good for one use; a spent one ends its whole family, and a wrong one ends nothing."""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.web import LOGOUT, REFRESH, Call, Web

GRACE_OVER = "update accounts_refreshtoken set used_at = used_at - interval '11 s' where session_id = %s"
REUSED, REVOKED, WRONG = (401, "refresh-token-reused"), (401, "session-revoked"), (401, "invalid-token")


@pytest.fixture
def opened(web: Web) -> dict[str, Any]:
    """Somebody new, in a first session."""
    return web.register()


def spent(web: Web, opened: dict[str, Any]) -> dict[str, Any]:
    """Go on with the session and let the grace pass; gives the tokens that follow."""
    following: dict[str, Any] = web.refresh(opened["refresh_token"]).json
    web.sql(GRACE_OVER, opened["session_id"])
    return following


def test_a_spent_token_ends_its_family_with_all_tokens_and_no_other(web: Web, opened: dict[str, Any]) -> None:
    other = web.sign_in(opened["user"])
    following = spent(web, opened)

    stolen = web.refresh(opened["refresh_token"])

    assert stolen.told == REUSED
    assert stolen.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert web.refresh(following["refresh_token"]).told == REVOKED
    assert [web.me(tokens["token"]).status for tokens in (opened, following)] == [401, 401]
    assert web.me(other["token"]).status == 200
    assert web.refresh(other["refresh_token"]).status == 200


def test_the_user_is_warned_once_of_a_family_that_was_reused(web: Web, opened: dict[str, Any]) -> None:
    user = opened["user"]
    spent(web, opened)

    answers = web.race([Call("POST", REFRESH, {"refresh_token": opened["refresh_token"]})] * 20)

    assert {answer.told for answer in answers} <= {REUSED, REVOKED}
    assert REUSED in {answer.told for answer in answers}
    [alert] = web.published(user["id"], "user.security_alert")
    assert alert.pop("at")
    assert alert == {
        "user_id": user["id"], "version": user["version"], "kind": "refresh_token_reused", "device": "",
        "ip": "127.0.0.1", "signs": [],
    }  # fmt: skip


def test_a_token_of_any_earlier_generation_is_a_reuse(web: Web, opened: dict[str, Any]) -> None:
    second = spent(web, opened)
    third = spent(web, second)

    assert web.refresh(opened["refresh_token"]).told == REUSED
    assert web.refresh(third["refresh_token"]).told == REVOKED


def test_a_spent_token_of_a_session_that_has_ended_warns_nobody(web: Web, opened: dict[str, Any]) -> None:
    following = spent(web, opened)
    assert web.call("POST", LOGOUT, {"refresh_token": following["refresh_token"]}).status == 204

    assert web.refresh(opened["refresh_token"]).told == REVOKED
    assert web.published(opened["user"]["id"], "user.security_alert") == []


WRONG_TOKENS: dict[str, Callable[[str], str]] = {
    "without its last character": lambda token: token[:-1],
    "without its first": lambda token: token[1:],
    "its first half": lambda token: token[:20],
    "one more character": lambda token: token + "A",
    "padded": lambda token: token + "=",
    "with a space": lambda token: token + " ",
    "with a line break": lambda token: token + "\n",
    "letters the other way": str.swapcase,
    "another first character": lambda token: ("B" if token[0] == "A" else "A") + token[1:],
    "backwards": lambda token: token[::-1],
    "its own hash": lambda token: hashlib.sha256(token.encode()).hexdigest(),
    "twice": lambda token: token * 2,
    "endless": lambda token: token + "A" * 60_000,
    "another script": lambda token: "\u0430" + token[1:],
    "one character": lambda token: token[0],
}


@pytest.mark.parametrize("state", ["fresh", "spent"])
@pytest.mark.parametrize("name", WRONG_TOKENS)
def test_a_token_that_is_not_ours_ends_nothing(web: Web, opened: dict[str, Any], name: str, state: str) -> None:
    live = spent(web, opened) if state == "spent" else opened

    assert web.refresh(WRONG_TOKENS[name](opened["refresh_token"])).told == WRONG

    assert web.me(live["token"]).status == 200
    assert web.refresh(live["refresh_token"]).status == 200
    assert web.published(opened["user"]["id"], "user.security_alert") == []


def test_an_access_token_refreshes_nothing(web: Web, opened: dict[str, Any]) -> None:
    assert web.refresh(opened["token"]).told == WRONG
    assert web.me(opened["refresh_token"]).told == WRONG


def test_a_token_is_256_bits_and_stands_nowhere_but_as_its_hash(web: Web, opened: dict[str, Any]) -> None:
    tokens = [opened["refresh_token"], web.refresh(opened["refresh_token"]).json["refresh_token"]]

    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in tokens)
    assert tokens[0] != tokens[1]
    stored = web.sql(
        "select encode(hash, 'hex') from accounts_refreshtoken where session_id = %s", opened["session_id"]
    )
    assert {row[0] for row in stored} == {hashlib.sha256(token.encode()).hexdigest() for token in tokens}


def test_going_on_never_moves_the_absolute_end(web: Web, opened: dict[str, Any]) -> None:
    end = "select expires_at, expires_at - created_at = interval '30 days' from accounts_session where id = %s"
    before = web.sql(end, opened["session_id"])
    token = opened["refresh_token"]

    for _ in range(3):
        token = web.refresh(token).json["refresh_token"]

    assert web.sql(end, opened["session_id"]) == before
    assert before[0][1] is True
