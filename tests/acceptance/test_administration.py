"""The administration of one user: who is read, made and changed by staff, barred, deleted and let in again."""

from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.administering import EVERYTHING, MEMBERS, USERS, act, actors, change, group, of, user
from tests.acceptance.web import LOGOUT, PASSWORD, Answer, Web, bearer, staff, superuser


@pytest.fixture(scope="module")
def admin(web: Web) -> dict[str, Any]:
    """Staff with every permission on users."""
    return staff(web, *EVERYTHING)


@pytest.fixture
def somebody(web: Web) -> str:
    """A user whom nothing has changed yet."""
    return user(web, f"Somebody{uuid4().hex[:12]}")


# one user ----------------------------------------------------------------------------------------------------


def test_a_user_is_read_with_an_etag_also_who_is_deleted(web: Web, admin: dict[str, Any]) -> None:
    ids = [user(web, "alive"), user(web, "gone", status="deleted")]

    alive, gone = (web.read(of(user_id), admin["token"]) for user_id in ids)

    assert (alive.status, alive.headers["ETag"], set(alive.json)) == (200, '"1"', MEMBERS)
    assert (gone.status, gone.json["status"]) == (200, "deleted")


def test_sessions_and_logs_of_a_user_are_read(web: Web, admin: dict[str, Any]) -> None:
    opened = web.register()
    user_id = opened["user"]["id"]
    assert web.login(opened["user"]["username"], "CANARY-pw-wrong").status == 401
    assert act(web, admin, of(user_id, "unlock"), {"reason": "called us"}).status == 204

    [session] = web.listed(of(user_id, "sessions"), admin["token"])
    [login] = web.listed(of(user_id, "login-log"), admin["token"], outcome="failure")
    [noted] = web.listed(of(user_id, "security-log"), admin["token"])

    assert (session["id"], session["current"]) == (opened["session_id"], False)
    assert login["reason"] == "wrong_password"
    assert (noted["kind"], noted["actor_id"], noted["reason"]) == ("unlocked", admin["user"]["id"], "called us")
    assert web.listed(of(user_id, "login-log"), admin["token"], outcome="success") == []


def test_one_session_of_a_user_is_read_until_it_ends(web: Web, admin: dict[str, Any]) -> None:
    opened, stranger = web.register(), web.register()
    other = web.sign_in(opened["user"])
    sessions = of(opened["user"]["id"], "sessions")

    def read(session_id: str) -> Answer:
        return web.read(f"{sessions}/{session_id}", admin["token"])

    listed = web.listed(sessions, admin["token"])
    assert [read(one["session_id"]).json for one in (other, opened)] == listed
    assert read(stranger["session_id"]).told == read(str(uuid4())).told == (404, "not-found")
    assert web.call("POST", LOGOUT, {"refresh_token": other["refresh_token"]}).status == 204
    assert [read(one["session_id"]).status for one in (other, opened)] == [404, 200]


# who is made by staff ----------------------------------------------------------------------------------------


def newcomer(**other: Any) -> dict[str, Any]:
    name = f"n{uuid4().hex[:12]}"
    return {"username": name, "email": f"{name}@example.com", **other}


def test_staff_makes_a_user_without_a_password(web: Web, admin: dict[str, Any]) -> None:
    body = newcomer(display_name="New", locale="de", time_zone="Europe/Zurich")

    answer = act(web, admin, USERS, body)

    assert answer.status == 201
    assert answer.headers["Location"] == of(answer.json["id"])
    assert (answer.headers["ETag"], set(answer.json)) == ('"1"', MEMBERS)
    assert {name: answer.json[name] for name in body} == body
    assert (answer.json["email_verified"], answer.json["is_staff"], answer.json["groups"]) == (False, False, [])
    assert actors(web, answer.json["id"]) == [("user.registered", "staff", admin["user"]["id"])]
    assert web.login(body["username"]).told == (401, "invalid-credentials")


def test_a_repeat_makes_nobody_else(web: Web, admin: dict[str, Any]) -> None:
    body, key = newcomer(), {"Idempotency_Key": f"key-{uuid4()}"}
    first, again = (act(web, admin, USERS, body, **key) for _ in range(2))
    other_body = act(web, admin, USERS, {**body, "locale": "de"}, **key)
    other_admin = act(web, staff(web, "add_user"), USERS, body, **key)

    assert [answer.status for answer in (first, again)] == [201, 201]
    assert again.json == first.json
    assert other_body.told == (422, "idempotency-key-reused")
    assert other_admin.told == (409, "username-taken")
    assert len(actors(web, first.json["id"])) == 1


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"username": "admin"}, ("/username", "username_reserved")),
        ({"email": "nobody"}, ("/email", "invalid_email")),
        ({"time_zone": "Mars"}, ("/time_zone", "invalid_time_zone")),
        ({"groups": ["no such group"]}, ("/groups", "unknown_group")),
        ({"groups": ["a\0b"]}, ("/groups", "unknown_group")),
        ({"groups": "x"}, ("/groups", "invalid_type")),
        ({"groups": [1]}, ("/groups", "invalid_type")),
        ({"groups": None}, ("/groups", "null")),
        ({"password": PASSWORD}, ("/password", "unknown_field")),
        ({"is_staff": True}, ("/is_staff", "unknown_field")),
        ({"status": "active"}, ("/status", "unknown_field")),
    ],
)
def test_what_nobody_may_be_made_with_is_refused(
    web: Web, admin: dict[str, Any], other: dict[str, Any], code: tuple[str, str]
) -> None:
    before = web.sql("select count(*) from accounts_user")

    answer = act(web, admin, USERS, newcomer(**other))

    assert (answer.status, answer.codes) == (400, [code])
    assert web.sql("select count(*) from accounts_user") == before


# changes -----------------------------------------------------------------------------------------------------


def stands(web: Web, user_id: str) -> dict[str, Any]:
    [row] = web.sql("select to_jsonb(one) from accounts_user as one where id = %s", user_id)
    found: dict[str, Any] = row[0]
    return found


def test_a_change_is_published_once_and_raises_the_version(web: Web, admin: dict[str, Any]) -> None:
    user_id = web.register()["user"]["id"]
    changed = {"display_name": "Ann", "locale": "fr", "time_zone": "Europe/Paris"}

    answer = change(web, admin, user_id, changed, '"1"')
    again = change(web, admin, user_id, changed, '"2"')

    assert [(one.status, one.headers["ETag"], one.json["version"]) for one in (answer, again)] == [(200, '"2"', 2)] * 2
    assert {name: again.json[name] for name in changed} == changed
    [event] = web.published(user_id, "user.updated")
    assert event["changes"] == changed


@pytest.mark.parametrize(("password", "kind"), [("x", "verify"), ("!", "invited")], ids=["has a password", "invited"])
def test_another_address_is_to_be_verified_and_the_former_one_is_told(
    web: Web, admin: dict[str, Any], somebody: str, password: str, kind: str
) -> None:
    web.unguarded("update accounts_user set password = %s where id = %s", password, somebody)

    answer = change(web, admin, somebody, {"email": f"new-{somebody}@example.com"})

    assert (answer.json["email"], answer.json["email_verified"]) == (f"new-{somebody}@example.com", False)
    owed = web.sql("select kind from accounts_outsidecall where user_id = %s order by kind", somebody)
    assert owed == [("email_changed",), (kind,)]


@pytest.mark.parametrize(
    ("match", "told"),
    [
        ('"7"', (412, "precondition-failed")),
        ('W/"1"', (412, "precondition-failed")),
        ("nonsense", (412, "precondition-failed")),
        (None, (428, "precondition-required")),
    ],
)
def test_a_change_of_another_version_is_refused(
    web: Web, admin: dict[str, Any], somebody: str, match: str | None, told: tuple[int, str]
) -> None:
    headers = bearer(admin["token"]) | ({"If_Match": match} if match else {})
    before = stands(web, somebody)

    answer = web.call("PATCH", of(somebody), {"display_name": "x"}, **headers)

    assert answer.told == told
    assert answer.headers["ETag"] == ('"1"' if match else None)
    assert stands(web, somebody) == before


@pytest.mark.parametrize(
    "member",
    [
        "is_staff", "is_superuser", "status", "email_verified", "id", "version", "password", "last_login_at",
        "user_permissions", "status_reason", "delete_after", "created_at", "failed_logins",
    ],
)  # fmt: skip
def test_a_member_that_staff_does_not_change_here_is_refused(
    web: Web, admin: dict[str, Any], somebody: str, member: str
) -> None:
    before = stands(web, somebody)

    answer = change(web, superuser(web) if member == "is_staff" else admin, somebody, {"locale": "de", member: True})

    assert (answer.status, answer.codes) == (400, [(f"/{member}", "unknown_field")])
    assert stands(web, somebody) == before


def test_names_that_others_have_are_refused(web: Web, admin: dict[str, Any], somebody: str) -> None:
    user(web, "Taken")

    assert change(web, admin, somebody, {"username": "tAKEN"}).told == (409, "username-taken")
    assert change(web, admin, somebody, {"email": "TAKEN@example.com"}).told == (409, "email-taken")


def test_groups_are_those_that_are_named(web: Web, somebody: str) -> None:
    root, (one, other) = superuser(web), sorted([group(web), group(web)])

    def groups(*names: str) -> Answer:
        return change(web, root, somebody, {"groups": list(names)})

    told = [groups(one), groups(other, one, one), groups(one, other), groups()]

    assert [answer.json["groups"] for answer in told] == [[one], [one, other], [one, other], []]
    assert [answer.json["version"] for answer in told] == [2, 3, 3, 4]
    published = [event["changes"] for event in web.published(somebody, "user.updated")]
    assert published == [{"groups": [one]}, {"groups": [one, other]}, {"groups": []}]


# moves -------------------------------------------------------------------------------------------------------


def test_a_user_goes_through_every_status_and_back(web: Web, admin: dict[str, Any]) -> None:
    opened = web.register()
    user_id, reason = opened["user"]["id"], {"reason": "spam"}

    suspended = act(web, admin, of(user_id, "suspend"), {**reason, "until": "2100-01-01T00:00:00Z"})
    assert web.me(opened["token"]).status == 401
    again = act(web, admin, of(user_id, "suspend"), reason)
    left = act(web, admin, of(user_id, "delete"), {"reason": "asked for"})
    restored = act(web, admin, of(user_id, "restore"))
    reactivated = act(web, admin, of(user_id, "reactivate"), reason)
    gone = act(web, admin, of(user_id, "delete"), {**reason, "immediately": True})

    assert (suspended.status, suspended.json["status"], suspended.headers["ETag"]) == (200, "suspended", '"2"')
    assert (suspended.json["status_until"], suspended.json["status_reason"]) == ("2100-01-01T00:00:00Z", "spam")
    assert again.told == (409, "invalid-state")
    assert (left.status, left.json["status"]) == (202, "pending_deletion")
    assert left.json["delete_after"]
    assert (left.headers["Location"], gone.headers["Location"]) == (of(user_id), of(user_id))
    assert (restored.status, restored.json["status"], restored.json["delete_after"]) == (200, "suspended", None)
    assert (reactivated.status, reactivated.json["status"]) == (200, "active")
    assert (gone.status, gone.json) == (202, {"status": "deleted", "delete_after": None})
    assert web.login(opened["user"]["username"]).status == 401
    assert [name for name, *_ in actors(web, user_id)] == [
        "user.registered", *["user.status_changed"] * 4, "user.deleted",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, ("/reason", "required")),
        ({"reason": " "}, ("/reason", "blank")),
        ({"reason": "x" * 201}, ("/reason", "reason_too_long")),
        ({"reason": "a\nb"}, ("/reason", "reason_characters")),
        ({"reason": "x", "until": "2020-01-01T00:00:00Z"}, ("/until", "invalid_time")),
        ({"reason": "x", "until": "soon"}, ("/until", "invalid_time")),
        ({"reason": "x", "by": "me"}, ("/by", "unknown_field")),
    ],
)
def test_a_suspension_has_a_reason_and_its_end_lies_ahead(
    web: Web, admin: dict[str, Any], somebody: str, body: dict[str, Any], code: tuple[str, str]
) -> None:
    answer = act(web, admin, of(somebody, "suspend"), body)

    assert (answer.status, answer.codes) == (400, [code])
    assert stands(web, somebody)["status"] == "active"


def test_sessions_are_ended_one_by_one_or_all(web: Web, admin: dict[str, Any]) -> None:
    opened, stranger = web.register(), web.register()
    others = [web.sign_in(opened["user"]) for _ in range(2)]
    sessions = of(opened["user"]["id"], "sessions")

    def end(session_id: str) -> Answer:
        return web.call("DELETE", f"{sessions}/{session_id}", **bearer(admin["token"]))

    assert [end(opened["session_id"]).status for _ in range(2)] == [204, 204]
    assert end(stranger["session_id"]).told == (404, "not-found")
    assert [web.me(one["token"]).status for one in (opened, *others, stranger)] == [401, 200, 200, 200]
    assert web.call("DELETE", sessions, **bearer(admin["token"])).status == 204
    assert [web.me(one["token"]).status for one in (*others, stranger)] == [401, 401, 200]
    assert [event["scope"] for event in web.published(opened["user"]["id"], "user.logged_out")] == ["one", "all"]


def test_a_reset_is_mailed_and_tells_the_administrator_nothing(web: Web, admin: dict[str, Any]) -> None:
    user_id = web.register()["user"]["id"]

    answer = act(web, admin, of(user_id, "password-reset"))

    assert (answer.status, answer.json) == (202, {})
    assert web.sql("select kind from accounts_outsidecall where user_id = %s", user_id) == [("reset",)]
