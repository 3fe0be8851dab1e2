"""S28: somebody who can administer always stays, whoever ends, suspends or leaves at the same moment."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.acceptance.administering import act, of
from tests.acceptance.web import ME, Answer, Web, bearer, superuser
from tests.waiting import wait_for

REASON = {"reason": "because"}
ADMINS = "select count(*) from accounts_user where is_superuser and status = 'active'"
WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


@pytest.fixture
def last_two(web: Web) -> list[dict[str, Any]]:
    """Two superusers, and no other who is active."""
    web.unguarded("update accounts_user set is_superuser = false where is_superuser")
    return [superuser(web), superuser(web)]


@pytest.mark.parametrize("column", ["is_staff", "status"])
def test_a_superuser_who_cannot_administer_is_none_who_stays(
    web: Web, last_two: list[dict[str, Any]], column: str
) -> None:
    one, other = last_two
    third = superuser(web)["user"]["id"]
    values = {"is_staff": False, "status": "suspended"}
    web.unguarded(f"update accounts_user set {column} = %s where id = %s", values[column], one["user"]["id"])  # noqa: S608 - a column
    assert act(web, other, of(third, "suspend"), REASON).status == 200

    assert web.call("DELETE", ME, **bearer(other["token"])).told == (409, "last-admin")


def held_up(web: Web, ask: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """All of them have been let in before any is done: they wait for the superusers' rows, which this holds."""
    with psycopg.connect(web.dsn) as holding, ThreadPoolExecutor(len(ask)) as pool:
        holding.execute("select id from accounts_user where is_superuser order by id for no key update")
        asked = [pool.submit(one) for one in ask]
        wait_for(lambda: web.sql(WAITING) == [(len(ask),)])
        holding.rollback()
        return [future.result() for future in asked]


@pytest.mark.parametrize("how", ["suspend", "delete"])
def test_of_two_who_end_each_other_one_stays(web: Web, last_two: list[dict[str, Any]], how: str) -> None:
    one, other = last_two

    answers = held_up(
        web,
        [partial(act, web, by, of(whom["user"]["id"], how), REASON) for by, whom in ((one, other), (other, one))],
    )

    [refused] = [answer for answer in answers if answer.status not in (200, 202)]
    assert refused.told == (401, "session-revoked")
    assert web.sql(ADMINS) == [(1,)]


def test_of_two_who_leave_one_stays(web: Web, last_two: list[dict[str, Any]]) -> None:
    answers = held_up(web, [partial(web.call, "DELETE", ME, **bearer(one["token"])) for one in last_two])

    [refused] = [answer for answer in answers if answer.status != 202]
    assert refused.told == (409, "last-admin")
    assert web.sql(ADMINS) == [(1,)]


def test_the_last_superuser_cannot_leave(web: Web, last_two: list[dict[str, Any]]) -> None:
    one, other = last_two
    assert act(web, one, of(other["user"]["id"], "suspend"), REASON).status == 200

    assert web.call("DELETE", ME, **bearer(one["token"])).told == (409, "last-admin")
