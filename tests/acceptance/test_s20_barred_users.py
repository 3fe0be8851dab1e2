"""S20: who is suspended, about to be deleted or gone can do nothing more, from the very next request on."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance import administering
from tests.acceptance.administering import chief_of
from tests.acceptance.browsing import signed_in
from tests.acceptance.linking import CONFIRM, NEW, RESTORE, VERIFY, owner_in
from tests.acceptance.mailing import RESEND, RESET, Mailing, link_by
from tests.acceptance.web import CHANGE_PASSWORD, LOGOUT, LOGOUT_ALL, ME, PASSWORD, REAUTHENTICATE, Call, Web, bearer
from tests.waiting import wait_for

SESSIONS = "/api/v1/users/me/sessions"
_GONE = """
with tokens as (
    delete from accounts_refreshtoken where session_id in (select id from accounts_session where user_id = %(id)s)
), links as (delete from accounts_link where user_id = %(id)s),
sessions as (delete from accounts_session where user_id = %(id)s)
delete from accounts_user where id = %(id)s
"""
BARRED = ["suspended", "pending_deletion", "deleted", "gone"]


Bar = Callable[[str, str], None]


@pytest.fixture(scope="module")
def bar(web: Web) -> Bar:
    """By an administrator, who cannot have the row gone: that is an operator's doing."""
    chief = chief_of(web)

    def bar(user_id: str, how: str) -> None:
        if how == "gone":
            web.unguarded(_GONE.replace("%(id)s", f"'{user_id}'"))
        else:
            administering.bar(web, chief, user_id, how)

    return bar


@pytest.fixture
def opened(web: Web) -> dict[str, Any]:
    """Somebody new, in a first session."""
    return web.register()


def calls_with(opened: dict[str, Any]) -> dict[str, Call]:
    """Everything that a signed-in user may ask, by name."""
    me, headers = opened["user"]["id"], bearer(opened["token"])
    changed = {"current_password": PASSWORD, "new_password": NEW}
    return {
        "me": Call("GET", ME, headers=headers),
        "profile": Call("GET", f"/api/v1/users/{me}/profile", headers=headers),
        "sessions": Call("GET", SESSIONS, headers=headers),
        "login log": Call("GET", "/api/v1/users/me/login-log", headers=headers),
        "security log": Call("GET", "/api/v1/users/me/security-log", headers=headers),
        "reauthenticate": Call("POST", REAUTHENTICATE, {"password": PASSWORD}, headers),
        "change": Call("POST", CHANGE_PASSWORD, changed, headers),
        "end one": Call("DELETE", f"{SESSIONS}/{opened['session_id']}", headers=headers),
        "end others": Call("DELETE", SESSIONS, headers=headers),
        "logout everywhere": Call("POST", LOGOUT_ALL, headers=headers),
    }


@pytest.mark.parametrize("how", BARRED)
def test_tokens_of_who_is_barred_open_nothing(web: Web, opened: dict[str, Any], bar: Bar, how: str) -> None:
    bar(opened["user"]["id"], how)
    before = web.sql("select count(*) from events_outbox where key = %s", opened["user"]["id"])

    calls = calls_with(opened)
    answers = dict(zip(calls, (web.call(c.method, c.path, c.body, **c.headers) for c in calls.values()), strict=True))

    assert {name: answer.told for name, answer in answers.items()} == dict.fromkeys(calls, (401, "session-revoked"))
    assert {answer.headers["WWW-Authenticate"] for answer in answers.values()} == {'Bearer error="invalid_token"'}
    assert web.sql("select count(*) from events_outbox where key = %s", opened["user"]["id"]) == before


@pytest.mark.parametrize("how", BARRED)
def test_a_refresh_is_refused(web: Web, opened: dict[str, Any], bar: Bar, how: str) -> None:
    bar(opened["user"]["id"], how)

    code = "invalid-token" if how == "gone" else "session-revoked"
    assert [web.refresh(opened["refresh_token"]).told for _ in range(2)] == [(401, code)] * 2


@pytest.mark.parametrize("how", BARRED)
def test_links_that_were_mailed_before_open_nothing(
    web: Web, mailing: Mailing, opened: dict[str, Any], bar: Bar, how: str
) -> None:
    user = opened["user"]
    verify = link_by(RESEND, web, mailing, user["email"])
    reset = link_by(RESET, web, mailing, user["email"])
    state = "select password, email_verified, version from accounts_user where id = %s"
    bar(user["id"], how)
    before = web.sql(state, user["id"])

    answers = [
        web.call("POST", VERIFY, {"token": verify}),
        web.call("POST", CONFIRM, {"token": reset, "new_password": NEW}),
    ]

    assert [answer.told for answer in answers] == [(400, "invalid-link")] * 2
    assert web.sql(state, user["id"]) == before
    assert bool(before) == (how != "gone")


@pytest.mark.parametrize("how", BARRED)
def test_signing_out_stays_possible_and_tells_nothing(web: Web, opened: dict[str, Any], bar: Bar, how: str) -> None:
    bar(opened["user"]["id"], how)

    assert [web.call("POST", LOGOUT, **bearer(opened["token"])).status for _ in range(2)] == [204, 204]


def test_the_way_back_is_closed_to_who_is_barred_otherwise(
    web: Web, mailing: Mailing, opened: dict[str, Any], bar: Bar
) -> None:
    leaving = owner_in(web, mailing)
    link = leaving.link("restore")
    bar(leaving.id, "deleted")
    bar(opened["user"]["id"], "suspended")

    names = [leaving.opened["user"]["username"], opened["user"]["username"]]
    answers = [web.call("POST", RESTORE, {"identifier": name, "password": PASSWORD}) for name in names]
    answers.append(web.call("POST", RESTORE, {"token": link}))

    assert [answer.told for answer in answers] == [
        (401, "invalid-credentials"), (403, "account-suspended"), (400, "invalid-link"),
    ]  # fmt: skip


@pytest.mark.parametrize("how", BARRED)
def test_the_admin_is_closed_to_who_was_in_it(web: Web, opened: dict[str, Any], bar: Bar, how: str) -> None:
    web.unguarded("update accounts_user set is_staff = true where id = %s", opened["user"]["id"])
    browser = signed_in(web, opened["user"])
    assert browser.is_in()

    bar(opened["user"]["id"], how)

    assert not browser.is_in()


@dataclass(frozen=True)
class Asked:
    """One request: when it was sent, and what came of it."""

    sent_at: float
    status: int


def ask_until(stop: threading.Event, ask: Callable[[], int], asked: list[Asked]) -> None:
    while not stop.is_set():
        sent_at = time.monotonic()
        asked.append(Asked(sent_at, ask()))


@pytest.mark.parametrize("how", BARRED)
def test_the_first_request_after_the_change_is_refused(web: Web, opened: dict[str, Any], bar: Bar, how: str) -> None:
    refused_at_once(web, opened, lambda: bar(opened["user"]["id"], how))


@pytest.mark.parametrize("how", ["suspended", "deleted"])
def test_it_is_also_refused_without_the_cache(web: Web, opened: dict[str, Any], bar: Bar, how: str) -> None:
    with web.cache.refusing():
        refused_at_once(web, opened, lambda: bar(opened["user"]["id"], how))

        assert web.refresh(opened["refresh_token"]).told == (401, "session-revoked")


def refused_at_once(web: Web, opened: dict[str, Any], bar: Callable[[], None]) -> None:
    """Whatever is sent after the answer to `bar`, by four clients that ask without a pause."""
    stop, asked = threading.Event(), list[Asked]()
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(ask_until, stop, lambda: web.me(opened["token"]).status, asked) for _ in range(4)]
        try:
            wait_for(lambda: len(asked) >= 20)
            bar()
            barred_at = time.monotonic()
            wait_for(lambda: sum(one.sent_at > barred_at for one in asked) >= 20)
        finally:
            stop.set()
        for one in running:
            one.result()

    assert {one.status for one in asked[:20]} == {200}
    assert {one.status for one in asked if one.sent_at > barred_at} == {401}
