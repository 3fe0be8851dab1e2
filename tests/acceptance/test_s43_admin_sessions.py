"""S43: a cookie of the admin is worth as much as the session that it stands for, and that ends as any other."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest

from tests.acceptance.administering import chief_of
from tests.acceptance.browsing import LOGIN, LOGOUT, USERS, Browser, a_user, fields_of, signed_in, staff, superuser
from tests.acceptance.linking import UNDO_EMAIL
from tests.acceptance.web import CHANGE_PASSWORD, LOGOUT_ALL, ME, PASSWORD, Web, bearer

# The way back to an address that the user never had; what it gives is of no matter here.
UNDO = """
insert into accounts_link
    (user_id, purpose, hash, email_canonical, email, call_id, asked_at, created_at, expires_at)
select id, 'undo_email', %s, 'former-' || email_canonical, 'former-' || email, gen_random_uuid(), now(), now(),
    now() + interval '7 days'
from accounts_user where id = %s
"""


@pytest.fixture(scope="module")
def root(web: Web) -> Browser:
    """A superuser, signed in."""
    return superuser(web)[0]


@dataclass(frozen=True)
class Twice:
    """A member of staff who is signed in at the admin and, `opened`, at the API."""

    browser: Browser
    opened: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.opened["user"]["id"])


@pytest.fixture
def twice(web: Web) -> Twice:
    opened = web.register()
    web.unguarded("update accounts_user set is_staff = true where id = %s", opened["user"]["id"])
    return Twice(signed_in(web, opened["user"]), opened)


def test_a_session_that_somebody_else_has_put_there_is_not_gone_on_with(web: Web) -> None:
    user = a_user(web, is_staff=True)
    thief = staff(web)[0]
    for put in ("chosen-by-somebody-else-0000000", thief.cookies["sessionid"]):
        victim = Browser(web)
        victim.get(LOGIN)
        victim.cookies["sessionid"] = put

        assert victim.sign_in(user["username"]).status == 302

        assert victim.cookies["sessionid"] != put
        stolen = Browser(web)
        stolen.cookies["sessionid"] = put
        assert not stolen.is_in()
        assert victim.is_in()


def test_cookies_are_no_scripts_and_no_other_sites_business(web: Web) -> None:
    user = a_user(web, is_staff=True)
    browser = Browser(web)
    browser.get(LOGIN)

    answer = browser.sign_in(user["username"])

    cookies = {line.split("=")[0]: line.split("; ")[1:] for line in answer.headers.get_all("Set-Cookie") or []}
    assert set(cookies) == {"sessionid", "csrftoken"}
    for attributes in cookies.values():
        assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=28800"} <= set(attributes)
        assert not [one for one in attributes if one.startswith("Domain")]


def test_who_is_no_staff_any_more_is_out_at_once(web: Web, root: Browser) -> None:
    browser, user_id = staff(web)
    form = fields_of(root.get(f"{USERS}{user_id}/change/"))
    assert form.pop("is_staff") == "on"

    assert root.post(f"{USERS}{user_id}/change/", **form).status == 302

    assert not browser.is_in()
    assert [event["changes"] for event in web.published(user_id, "user.updated")] == [{"is_staff": False}]


@pytest.mark.parametrize("how", ["suspend", "delete_after_the_grace", "delete_immediately"])
def test_who_is_barred_is_out_everywhere_at_once(web: Web, root: Browser, how: str) -> None:
    opened = web.register()
    user_id = opened["user"]["id"]
    web.unguarded("update accounts_user set is_staff = true where id = %s", user_id)
    browser = signed_in(web, opened["user"])
    assert (browser.is_in(), web.me(opened["token"]).status) == (True, 200)

    root.act(how, user_id, reason="S20")

    assert not browser.is_in()
    assert web.me(opened["token"]).told == (401, "session-revoked")


def test_a_session_of_the_admin_is_listed_and_ended_as_any_other(web: Web, twice: Twice) -> None:
    token = bearer(twice.opened["token"])
    listed = web.listed(f"{ME}/sessions", twice.opened["token"])
    [session_id] = [one["id"] for one in listed if not one["current"]]
    assert twice.browser.is_in()
    assert [told["session_id"] for told in web.published(twice.id, "user.logged_in")] == [session_id]
    lasts = "select extract(epoch from expires_at - created_at)::int from accounts_session where id = %s"
    assert web.sql(lasts, session_id) == [(8 * 3600,)]

    assert web.call("DELETE", f"{ME}/sessions/{session_id}", **token).status == 204

    assert not twice.browser.is_in()
    assert len(web.listed(f"{ME}/sessions", twice.opened["token"])) == 1


def test_a_session_of_the_admin_is_over_after_its_time(web: Web, twice: Twice) -> None:
    web.sql("update accounts_session set expires_at = now() where user_id = %s", twice.id)

    assert not twice.browser.is_in()


@pytest.mark.parametrize("how", ["suspension and its end", "logout-all", "logout by staff", "undone address"])
def test_who_is_out_does_not_come_back_without_the_password(web: Web, root: Browser, twice: Twice, how: str) -> None:
    token = bearer(twice.opened["token"])
    if how == "suspension and its end":
        root.act("suspend", twice.id, reason="A laptop is gone")
        root.act("reactivate", twice.id)
    elif how == "logout-all":
        assert web.call("POST", LOGOUT_ALL, **token).status == 204
    elif how == "logout by staff":
        chief = bearer(chief_of(web)["token"])
        assert web.call("DELETE", f"/api/v1/admin/users/{twice.id}/sessions", **chief).status == 204
    else:
        link = f"undo of {twice.id}"
        web.sql(UNDO, sha256(link.encode()).digest(), twice.id)
        assert web.call("POST", UNDO_EMAIL, {"token": link}).status == 204

    assert web.sql("select status from accounts_user where id = %s", twice.id) == [("active",)]
    assert not twice.browser.is_in()
    twice.browser.sign_in(twice.opened["user"]["username"])
    assert twice.browser.is_in()


def test_signing_out_ends_the_session_for_a_copy_of_the_cookie_too(web: Web, twice: Twice) -> None:
    thief = Browser(web)
    thief.cookies.update(twice.browser.cookies)
    assert twice.browser.get(LOGOUT).status == 405
    assert thief.is_in()

    assert twice.browser.post(LOGOUT).status == 200

    assert not thief.is_in()
    [told] = web.published(twice.id, "user.logged_out")
    ended = "select id::text from accounts_session where user_id = %s and ended_at is not null"
    assert web.sql(ended, twice.id) == [(told["session_id"],)]
    assert twice.browser.get(LOGIN).status == 200


def test_whoever_signs_in_next_ends_the_session_of_who_was_there(web: Web, twice: Twice) -> None:
    other = a_user(web, is_staff=True)

    assert twice.browser.sign_in(other["username"]).status == 302

    assert twice.browser.is_in()
    assert len(web.listed(f"{ME}/sessions", twice.opened["token"])) == 1


def test_a_new_password_ends_the_admins_sessions(web: Web) -> None:
    opened = web.register()
    web.unguarded("update accounts_user set is_staff = true where id = %s", opened["user"]["id"])
    browser = signed_in(web, opened["user"])
    assert browser.is_in()

    body = {"current_password": PASSWORD, "new_password": "CANARY-pw-another-4712"}
    assert web.call("POST", CHANGE_PASSWORD, body, **bearer(opened["token"])).status == 200

    assert not browser.is_in()
