"""S28 in the admin: staff does what it is permitted, raises nobody, and changes neither itself nor who stands above."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.acceptance.browsing import USERS, Browser, a_group, a_user, errors_of, fields_of, join, staff, superuser
from tests.acceptance.web import ME, Call, Web, bearer
from tests.waiting import wait_for

ADMINS = "select id::text from accounts_user where is_superuser and is_staff and status = 'active'"
WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


@pytest.fixture(scope="module")
def root(web: Web) -> Browser:
    """A superuser, signed in."""
    return superuser(web)[0]


def test_staff_raises_nobody(web: Web) -> None:
    user = a_user(web)
    browser, by = staff(web, "change_user")

    assert browser.change(user["id"], is_superuser="on", is_staff="on", status="deleted", version="1").status == 302
    assert browser.change(by, is_superuser="on").status == 403

    rights = "select is_staff, is_superuser, status, version from accounts_user where id = %s"
    assert web.sql(rights, user["id"]) == [(False, False, "active", 1)]
    assert web.sql(rights, by) == [(True, False, "active", 1)]


def test_staff_changes_no_superuser_and_not_itself(web: Web) -> None:
    above = a_user(web, is_superuser=True)
    browser, by = staff(web, "change_user", "delete_user")

    for user_id in (above["id"], by):
        page = browser.get(f"{USERS}{user_id}/change/")
        assert (page.status, b'name="_save"' in page.body) == (200, False)
        assert browser.post(f"{USERS}{user_id}/change/", username="mine", version="1").status == 403
        assert browser.act("delete_after_the_grace", user_id, reason="no")[0].startswith("Not done for ")
        assert web.sql("select status, version from accounts_user where id = %s", user_id) == [("active", 1)]


def test_staff_gives_no_group_that_it_is_not_in(web: Web) -> None:
    user, other = a_user(web), a_group(web, "delete_user_immediately")
    own = a_group(web)
    browser, by = staff(web, "change_user", "add_user")
    join(web, by, own)

    refused = ["Not to yourself, not to a superuser unless you are one, and no group that you are not in."]
    assert errors_of(browser.change(user["id"], groups=[own, other])) == refused
    added = browser.post(f"{USERS}add/", username="grouped", email="grouped@example.com", groups=[other])
    assert errors_of(added) == refused
    assert browser.change(user["id"], groups=[own]).status == 302
    assert web.sql("select group_id::text from accounts_user_groups where user_id = %s", user["id"]) == [(own,)]


def test_what_a_group_permits_is_for_superusers_to_say(web: Web, root: Browser) -> None:
    group = a_group(web)
    [(permission,)] = web.sql("select id::text from auth_permission where codename = 'delete_user_immediately'")
    browser, by = staff(web, "change_user")
    join(web, by, group)
    web.sql(
        "insert into auth_group_permissions (group_id, permission_id) select %s, id from auth_permission"
        " where codename like '%%_group' and content_type_id in"
        " (select id from django_content_type where app_label = 'auth')",
        group,
    )  # fmt: skip
    path = f"/admin/auth/group/{group}/change/"

    assert browser.post(path, name="mine", permissions=[permission]).status == 403
    assert browser.post("/admin/auth/group/add/", name="mine", permissions=[permission]).status == 403

    permits = "select count(*) from auth_group_permissions where group_id = %s and permission_id = %s"
    assert web.sql(permits, group, permission) == [(0,)]
    name = fields_of(root.get(f"/admin/auth/group/{a_group(web)}/change/"))["name"]
    assert name
    assert root.post(path, name="renamed", permissions=[permission]).status == 302
    assert web.sql(permits, group, permission) == [(1,)]
    assert web.sql("select count(*) from auth_group where name = 'renamed'") == [(0,)]  # it has a member
    assert root.post(f"/admin/auth/group/{group}/delete/", post="yes").status == 403


@pytest.mark.parametrize(
    ("permissions", "may"),
    [
        ([], set()),
        (["view_user"], set()),
        (["change_user"], {"suspend", "reactivate", "restore", "unlock", "send_password_link"}),
        (["view_user", "delete_user"], {"delete_after_the_grace"}),
        (["view_user", "delete_user_immediately"], set()),
        (["view_user", "delete_user", "delete_user_immediately"], {"delete_after_the_grace", "delete_immediately"}),
    ],
)
def test_each_action_needs_its_permission(web: Web, permissions: list[str], may: set[str]) -> None:
    actions = {
        "suspend", "reactivate", "restore", "unlock", "send_password_link", "delete_after_the_grace",
        "delete_immediately",
    }  # fmt: skip
    user = a_user(web)
    browser, _ = staff(web, *permissions)

    page = browser.get(USERS)
    assert page.status == (200 if permissions else 403)
    assert {action for action in actions if f'value="{action}"' in page.body.decode()} == may
    for action in actions - may:
        browser.acted(action, user["id"], reason="not permitted")
    assert browser.post(f"{USERS}add/", username="another", email="another@example.com").status == 403
    assert web.sql("select status, version from accounts_user where id = %s", user["id"]) == [("active", 1)]
    assert web.sql("select count(*) from accounts_outsidecall where user_id = %s", user["id"]) == [(0,)]


@pytest.fixture
def last_two(web: Web) -> Iterator[list[tuple[Browser, str]]]:
    """Two superusers, and no other who is active."""
    two = [superuser(web), superuser(web)]
    admins = web.sql("select id::text from accounts_user where is_superuser")
    others = [user_id for (user_id,) in admins if user_id not in [user_id for _, user_id in two]]
    turn = "update accounts_user set is_superuser = not is_superuser where id = any(%s::uuid[])"
    web.unguarded(turn, others)
    yield two
    web.unguarded(turn, others)


def raced(web: Web, calls: Sequence[Call]) -> None:
    """Send them, and have each wait for the superusers' rows before any is done."""
    with psycopg.connect(web.dsn) as holding, ThreadPoolExecutor(1) as pool:
        holding.execute("select id from accounts_user where is_superuser order by id for no key update")
        asked = pool.submit(web.race, calls)
        wait_for(lambda: web.sql(WAITING) == [(len(calls),)])
        holding.rollback()
        asked.result()


def test_of_the_last_two_superusers_who_suspend_each_other_one_stays(
    web: Web, last_two: list[tuple[Browser, str]]
) -> None:
    (one, one_id), (two, two_id) = last_two

    raced(
        web,
        [
            one.posting(USERS, action="suspend", _selected_action=two_id, reason="first"),
            two.posting(USERS, action="suspend", _selected_action=one_id, reason="first"),
        ],
    )

    assert web.sql(ADMINS) in ([(one_id,)], [(two_id,)])


@pytest.mark.parametrize("right", ["is_staff", "is_superuser"])
def test_of_the_last_two_who_take_a_right_from_each_other_one_stays(
    web: Web, last_two: list[tuple[Browser, str]], right: str
) -> None:
    (one, one_id), (two, two_id) = last_two
    calls = []
    for browser, user_id in ((one, two_id), (two, one_id)):
        path = f"{USERS}{user_id}/change/"
        form = fields_of(browser.get(path))
        assert form.pop(right) == "on"
        calls.append(browser.posting(path, **form))

    raced(web, calls)

    assert web.sql(ADMINS) in ([(one_id,)], [(two_id,)])


def test_the_last_who_can_administer_stays(web: Web, last_two: list[tuple[Browser, str]]) -> None:
    """Who is no staff any more, or is not active, does not count; on oneself nobody acts."""
    (one, one_id), (_, two_id) = last_two
    form = fields_of(one.get(f"{USERS}{two_id}/change/"))
    del form["is_staff"]
    assert one.post(f"{USERS}{two_id}/change/", **form).status == 302

    [(name,)] = web.sql("select username from accounts_user where id = %s", one_id)
    assert web.call("DELETE", ME, **bearer(web.login(name).json["token"])).told == (409, "last-admin")
    assert web.sql(ADMINS) == [(one_id,)]
