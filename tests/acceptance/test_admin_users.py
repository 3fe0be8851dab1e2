"""The admin's users: made, changed and moved by the services, each with its event, and told what was refused."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from msgspec import msgpack

from tests.acceptance.browsing import USERS, Browser, a_group, a_user, errors_of, fields_of, join, staff, superuser
from tests.acceptance.web import Web


class Officer(NamedTuple):
    """Signed in, and who it is."""

    browser: Browser
    id: str


@pytest.fixture(scope="module")
def officer(web: Web) -> Officer:
    """A member of staff who may do to users whatever staff may."""
    permissions = [f"{verb}_user" for verb in ("view", "add", "change", "delete")]
    return Officer(*staff(web, *permissions, "delete_user_immediately"))


def stands(web: Web, user_id: str, columns: str) -> tuple[object, ...]:
    [row] = web.sql(f"select {columns} from accounts_user where id = %s", user_id)  # noqa: S608 - names of columns
    return row


def actors(web: Web, user_id: str, event_type: str) -> list[tuple[str, str]]:
    """Kind and id of who is told as the actor, of each event of this type."""
    told = "select headers from events_outbox where key = %s and type = %s order by id"
    headers = [dict(msgpack.decode(bytes(packed))) for (packed,) in web.sql(told, user_id, event_type)]
    return [(one["ce_authtype"].decode(), one["ce_authid"].decode()) for one in headers]


def logged(web: Web, user_id: str) -> list[tuple[str, str]]:
    """The admin's own records of this user: by whom, and what."""
    records = "select user_id::text, change_message from django_admin_log where object_id = %s order by id"
    return web.sql(records, user_id)


def test_a_new_user_is_published_with_the_administrator_as_the_actor(web: Web, officer: Officer) -> None:
    group = a_group(web)
    browser, by = officer
    join(web, by, group)

    added = browser.post(
        f"{USERS}add/", username="Newcomer", email="newcomer@Example.com", display_name="New", groups=[group]
    )

    assert added.status == 302
    made = "select id::text, email, status, is_staff, password from accounts_user where username = 'Newcomer'"
    [(user_id, email, status, is_staff, password)] = web.sql(made)
    assert (email, status, is_staff) == ("newcomer@example.com", "active", False)
    assert password.startswith("!")  # until the link that is mailed sets one
    assert actors(web, user_id, "user.registered") == [("staff", by)]
    assert web.sql("select group_id::text from accounts_user_groups where user_id = %s", user_id) == [(group,)]
    assert [who for who, _ in logged(web, user_id)] == [by]


def test_what_is_wrong_with_a_new_user_stands_at_the_field(web: Web, officer: Officer) -> None:
    taken = a_user(web)
    browser = officer.browser
    before = web.sql("select count(*) from accounts_user")

    refused = {
        name: errors_of(browser.post(f"{USERS}add/", username=username, email=email, display_name=shown))
        for name, username, email, shown in [
            ("both taken", taken["username"].upper(), taken["email"].upper(), ""),
            ("e-mail taken", "someone-else", taken["email"].upper(), ""),
            ("reserved", "ADMIN", "a@example.com", ""),
            ("none", "ab", "no-address", "\u202e"),
            ("nothing", "", "", ""),
        ]
    }

    assert refused == {
        "both taken": ["Another user has this name."],
        "e-mail taken": ["Another user has this address, or may have it back."],
        "reserved": ["This name is reserved."],
        "none": [
            "At least 3 characters.",
            "Enter a valid e-mail address.",
            "No control characters, line breaks or changes of direction.",
        ],
        "nothing": ["This field is required.", "This field is required."],
    }
    assert web.sql("select count(*) from accounts_user") == before


def test_a_change_is_published_with_the_administrator_as_the_actor(web: Web, officer: Officer) -> None:
    user, group = a_user(web), a_group(web)
    browser, by = officer
    join(web, by, group)
    shown = browser.get(f"{USERS}{user['id']}/change/")
    assert fields_of(shown)["username"] == user["username"]

    saved = browser.change(user["id"], display_name="Ann", time_zone="Europe/Zurich", groups=[group])

    assert saved.status == 302
    [(name,)] = web.sql("select name from auth_group where id = %s", group)
    [told] = web.published(user["id"], "user.updated")
    assert told["changes"] == {"display_name": "Ann", "time_zone": "Europe/Zurich", "groups": [name]}
    assert actors(web, user["id"], "user.updated") == [("staff", by)]
    assert stands(web, user["id"], "display_name, version") == ("Ann", 2)
    assert [who for who, _ in logged(web, user["id"])] == [by]


def test_a_new_address_is_not_verified_and_the_former_one_is_told(web: Web, officer: Officer) -> None:
    user = a_user(web, email_verified=True)
    browser = officer.browser

    assert browser.change(user["id"], email="elsewhere-43@example.com").status == 302

    assert stands(web, user["id"], "email, email_verified") == ("elsewhere-43@example.com", False)
    owed = "select kind from accounts_outsidecall where user_id = %s order by kind"
    assert web.sql(owed, user["id"]) == [("email_changed",), ("verify",)]


def test_who_waits_for_the_deletion_finds_the_way_back_at_the_new_address(web: Web, officer: Officer) -> None:
    user = a_user(web)
    officer.browser.act("delete_after_the_grace", user["id"], reason="Asked by mail")

    assert officer.browser.change(user["id"], email="elsewhere-44@example.com").status == 302

    owed = "select kind, facts from accounts_outsidecall where user_id = %s and email = ''"
    [(kind, facts)] = web.sql(owed, user["id"])
    assert (kind, facts["reason"]) == ("pending_deletion", "Asked by mail")


def test_nothing_changed_is_no_event(web: Web, officer: Officer) -> None:
    user = a_user(web)
    browser = officer.browser

    assert browser.change(user["id"]).status == 302

    assert (stands(web, user["id"], "version"), web.published(user["id"], "user.updated")) == ((1,), [])


def test_who_saves_what_somebody_else_has_changed_meanwhile_is_told(web: Web, officer: Officer) -> None:
    user = a_user(web)
    first, second = officer.browser, staff(web, "change_user")[0]
    path = f"{USERS}{user['id']}/change/"
    shown = fields_of(first.get(path))
    assert second.change(user["id"], display_name="Second").status == 302

    answer = first.post(path, **{**shown, "display_name": "First"})

    assert errors_of(answer) == ["Somebody else has changed this user meanwhile: load the page again and look."]
    assert fields_of(answer)["display_name"] == "First"
    assert stands(web, user["id"], "display_name, version") == ("Second", 2)
    assert first.change(user["id"], display_name="First").status == 302
    assert stands(web, user["id"], "display_name, version") == ("First", 3)


def test_a_name_that_is_taken_meanwhile_is_told_at_the_field(web: Web, officer: Officer) -> None:
    user, other = a_user(web), a_user(web)
    browser = officer.browser

    assert errors_of(browser.change(user["id"], username=other["username"].upper())) == ["Another user has this name."]
    assert errors_of(browser.change(user["id"], username="root")) == ["This name is reserved."]
    assert stands(web, user["id"], "username, version") == (user["username"], 1)


def test_a_reserved_name_may_stay(web: Web, officer: Officer) -> None:
    """That the command line gave."""
    user = a_user(web, username="Staff", username_canonical="staff")

    assert officer.browser.change(user["id"], display_name="The desk").status == 302
    assert stands(web, user["id"], "username, display_name, version") == ("Staff", "The desk", 2)


MOVES = {
    "suspend": ("active", "suspended", "Suspended"),
    "reactivate": ("suspended", "active", "Reactivated"),
    "delete_after_the_grace": ("suspended", "pending_deletion", "To be deleted"),
    "delete_immediately": ("active", "deleted", "Deleted"),
}


@pytest.mark.parametrize("action", MOVES)
def test_each_of_several_users_is_moved_and_told_of(web: Web, officer: Officer, action: str) -> None:
    former, status, done = MOVES[action]
    browser, by = officer
    one, two, not_now = a_user(web, status=former), a_user(web, status=former), a_user(web, status="deleted")
    above = a_user(web, is_superuser=True, status=former)

    told = browser.act(action, one["id"], two["id"], not_now["id"], above["id"], by, reason="As I said")

    me = stands(web, by, "username")[0]
    refused = "Not to yourself, not to a superuser unless you are one, and no group that you are not in."
    assert sorted(told) == sorted(
        [
            f"{done}: {one['username']}, {two['username']}.",
            f"Not done for {not_now['username']}: There is no such user any more.",
            f"Not done for {above['username']}: {refused}",
            f"Not done for {me}: {refused}",
        ]
    )
    event = "user.deleted" if status == "deleted" else "user.status_changed"
    for user in (one, two):
        assert stands(web, user["id"], "status, status_reason") == (status, "As I said")
        assert actors(web, user["id"], event) == [("staff", by)]
        assert logged(web, user["id"]) == [(by, f"{done}.")]
    assert [stands(web, user_id, "status")[0] for user_id in (above["id"], by)] == [former, "active"]
    assert (logged(web, not_now["id"]), logged(web, above["id"]), logged(web, by)) == ([], [], [])


def test_a_deletion_is_taken_back(web: Web, officer: Officer) -> None:
    user = a_user(web)
    browser = officer.browser
    browser.act("delete_after_the_grace", user["id"], reason="By mistake")
    assert stands(web, user["id"], "status, delete_after > now() + interval '29 days'") == ("pending_deletion", True)

    assert browser.act("restore", user["id"]) == [f"Restored: {user['username']}."]

    assert stands(web, user["id"], "status, delete_after") == ("active", None)
    assert browser.act("restore", user["id"]) == [f"Not done for {user['username']}: Not while the status is active."]


def test_a_suspension_may_have_an_end(web: Web, officer: Officer) -> None:
    user = a_user(web)
    browser = officer.browser
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)

    assert browser.act("suspend", user["id"], reason="Rest", until=ahead.isoformat()) == [
        f"Suspended: {user['username']}."
    ]

    assert stands(web, user["id"], "status, status_until") == ("suspended", ahead)


@pytest.mark.parametrize(
    ("action", "form", "told"),
    [
        ("suspend", {}, "Give a reason: the user is told."),
        ("suspend", {"reason": "  "}, "Give a reason: the user is told."),
        ("delete_after_the_grace", {}, "Give a reason: the user is told."),
        ("delete_immediately", {}, "Give a reason: the user is told."),
        ("suspend", {"reason": "x" * 201}, "At most 200 characters."),
        ("suspend", {"reason": "one\ntwo"}, "No control characters, line breaks or changes of direction."),
        ("suspend", {"reason": "x", "until": "tomorrow"}, "A time such as 2026-11-28T09:00:00Z."),
        ("suspend", {"reason": "x", "until": "2020-01-01T00:00:00Z"}, "A time that lies ahead."),
    ],
)
def test_nobody_is_moved_where_something_is_missing(
    web: Web, officer: Officer, action: str, form: dict[str, str], told: str
) -> None:
    user = a_user(web)

    assert officer.browser.act(action, user["id"], **form) == [f"Nothing was done. {told}"]
    assert stands(web, user["id"], "status, version") == ("active", 1)


def test_an_unlocked_user_may_try_again_and_a_password_link_is_owed(web: Web, officer: Officer) -> None:
    user = a_user(web)
    for _ in range(3):
        assert web.login(user["username"], "CANARY-pw-wrong").status == 401
    counted = "select count from accounts_throttle where key like 'login-failures/%%'"
    assert (3,) in web.sql(counted)
    browser, by = officer

    assert browser.act("unlock", user["id"]) == [f"Unlocked: {user['username']}."]
    assert browser.act("send_password_link", user["id"]) == [f"Link on its way: {user['username']}."]

    assert (3,) not in web.sql(counted)
    assert web.sql("select kind from accounts_outsidecall where user_id = %s", user["id"]) == [("reset",)]
    noted = "select kind, actor_id::text from accounts_securityrecord where user_id = %s order by id"
    assert web.sql(noted, user["id"]) == [("unlocked", by), ("reset_requested", by)]


def test_a_user_is_found_by_the_id(web: Web, officer: Officer) -> None:
    user, other = a_user(web), a_user(web)

    page = officer.browser.get(f"{USERS}?q={user['id'].upper()}").body.decode()

    assert [one["id"] in page for one in (user, other)] == [True, False]


def test_too_many_at_once_are_a_mistake(web: Web) -> None:
    browser, _ = superuser(web)
    web.unguarded(
        "insert into accounts_user select (jsonb_populate_record(u, jsonb_build_object('id', gen_random_uuid(),"
        " 'username_canonical', u.username_canonical || n, 'email_canonical', n || u.email_canonical))).*"
        " from accounts_user u, generate_series(1, 101) n where u.username = %s",
        a_user(web)["username"],
    )
    before = web.sql("select count(*) from accounts_user where status = 'active'")

    browser.acted("suspend", a_user(web)["id"], select_across="1", reason="All")

    assert browser.messages() == ["Nothing was done. At most 100 users at once."]
    assert web.sql("select count(*) - 1 from accounts_user where status = 'active'") == before
