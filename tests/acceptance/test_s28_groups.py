"""S28: a group that somebody is in stays what events have told of it, also where both happen at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.acceptance.administering import USERS, act, change, chief_of
from tests.acceptance.browsing import Browser, a_group, a_user, fields_of, superuser
from tests.acceptance.web import Answer, Web
from tests.waiting import wait_for

GROUPS = "/admin/auth/group/"
WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


@pytest.fixture(scope="module")
def root(web: Web) -> Browser:
    """A superuser, signed in."""
    return superuser(web)[0]


def held_up(web: Web, group: str, ask: Callable[[], Answer], meanwhile: str, *values: Any) -> Answer:
    """The answer, when this statement is committed after the request has looked at the group and before it acts."""
    with psycopg.connect(web.dsn) as holding, ThreadPoolExecutor(1) as pool:
        holding.execute("select from auth_group where id = %s for update", (group,))
        asked = pool.submit(ask)
        wait_for(lambda: web.sql(WAITING) == [(1,)])
        holding.execute(meanwhile, values)
        holding.commit()
        return asked.result()


@pytest.mark.parametrize("how", ["renamed", "deleted", "deleted with others"])
def test_a_group_that_somebody_joins_is_neither_renamed_nor_deleted(web: Web, root: Browser, how: str) -> None:
    group, user = a_group(web), a_user(web)["id"]
    form = fields_of(root.get(f"{GROUPS}{group}/change/"))
    ask = {
        "renamed": partial(root.post, f"{GROUPS}{group}/change/", **{**form, "name": "another"}),
        "deleted": partial(root.post, f"{GROUPS}{group}/delete/", post="yes"),
        "deleted with others": partial(
            root.post, GROUPS, action="delete_selected", _selected_action=[group, a_group(web)], post="yes"
        ),
    }[how]

    join = "insert into accounts_user_groups (user_id, group_id) values (%s, %s)"
    answer = held_up(web, group, ask, join, user, group)

    assert answer.status == 403
    assert web.sql("select name from auth_group where id = %s", group) == [(form["name"],)]
    assert web.sql("select group_id::text from accounts_user_groups where user_id = %s", user) == [(group,)]


def test_who_may_be_given_a_group_that_is_deleted_meanwhile_is_told(web: Web) -> None:
    chief, user = chief_of(web), a_user(web)["id"]
    new = {"username": f"n{uuid4().hex[:12]}", "email": f"{uuid4().hex}@example.com"}
    for ask in (partial(change, web, chief, user), lambda body: act(web, chief, USERS, {**new, **body})):
        group = a_group(web)
        [(name,)] = web.sql("select name from auth_group where id = %s", group)
        delete = "delete from auth_group where id = %s"

        answer = held_up(web, group, partial(ask, {"groups": [name]}), delete, group)

        assert (answer.status, answer.codes) == (400, [("/groups", "unknown_group")])
    assert web.sql("select version from accounts_user where id = %s", user) == [(1,)]
    assert web.sql("select count(*) from accounts_user where username = %s", new["username"]) == [(0,)]


def test_an_event_tells_the_name_that_the_group_has_by_then(web: Web) -> None:
    chief, user, group = chief_of(web), a_user(web)["id"], a_group(web)
    [(name,)] = web.sql("select name from auth_group where id = %s", group)
    rename, other = "update auth_group set name = %s where id = %s", f"renamed {uuid4()}"

    answer = held_up(web, group, partial(change, web, chief, user, {"groups": [name]}), rename, other, group)

    assert answer.json["groups"] == [other]
    assert [told["changes"] for told in web.published(user, "user.updated")] == [{"groups": [other]}]


def test_a_group_that_nobody_is_in_goes(web: Web, root: Browser) -> None:
    one, two, three = (a_group(web) for _ in range(3))

    assert root.post(f"{GROUPS}{one}/delete/", post="yes").status == 302
    assert root.post(GROUPS, action="delete_selected", _selected_action=[two, three], post="yes").status == 302

    assert web.sql("select count(*) from auth_group where id = any(%s::int[])", [one, two, three]) == [(0,)]
