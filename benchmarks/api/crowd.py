"""A crowd of users to list, made past the triggers, and the requests of the one administrator who lists them.

Made once by `bench`, in a database of its own. The deep page's cursor is one that the API itself gave: while the users
of that page and the next, who came first, were the only ones beside the administrator and the one before them. Those
who have come between since do not touch it: a cursor is a place among the users, not a count of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import psycopg

from benchmarks.api.names import LIST_BY_NAME, LIST_COUNTED, LIST_DEEP, LIST_FIRST, SEARCH_FEW, SEARCH_MANY
from benchmarks.api.people import registered
from benchmarks.frame.http import request
from benchmarks.frame.web import call

PAGE = 100
FEW = 25  # users whom a narrow search finds

_PATH = "/api/v1/admin/users"
_ADMIN = "update accounts_user set is_staff = true, is_superuser = true, version = version + 1 where id = %s"
# From the first who came to the last, one a minute; ids begin with the time, as those of uuid7 do.
_COME = """
insert into accounts_user (
    id, username, username_canonical, email, email_canonical, email_verified, status, display_name, locale, time_zone,
    is_staff, is_superuser, version, password, created_at, updated_at
)
select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 3) || '8'
        || substr(hash, 4, 15))::uuid,
    name, name, name || '@example.org', name || '@example.org', n %% 10 > 0, 'active', '', 'en', 'UTC',
    false, false, 1, '!', at, at
from (
    select n, timestamptz '2020-01-01Z' + n * interval '1 minute' as at, md5(n::text) as hash,
        (array['anna', 'bela', 'cleo', 'dora'])[n %% 4 + 1] || '.' || lpad(n::text, 8, '0') as name
    from generate_series(%s::int, %s::int) as n
) as one
order by n
"""
_SIGN_IN_ONCE = """
insert into accounts_lastlogin (user_id, at)
select id, created_at + interval '1 day' from accounts_user where email_verified order by id
"""
_UP_TO = """
select count(*) from accounts_user as one, accounts_user as last
where last.id = %s and (one.created_at, one.id) >= (last.created_at, last.id)
"""


class WrongPage(Exception):
    """A page or a search is not what it is said to be."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many `pages` of users and one more, and what of them is asked for."""

    port: int
    token: str
    asked: Mapping[str, str]

    def request(self, variant: str) -> bytes:
        """For one of LISTS."""
        return request("GET", self.asked[variant], token=self.token)


def many(users: int) -> int:
    """How many a wide search finds of so many: one of four, but for the administrator."""
    return (users - 1) // 4


def gather(dsn: str, port: int, *, pages: int) -> Crowd:
    """Fill the database behind this web process. Raises WrongPage."""
    admin = registered(port, "keeper")
    _change(dsn, _ADMIN, admin.id)
    _change(dsn, _COME, 1, 2 * PAGE + 1)
    # On this page are the administrator and the last one before the deep page.
    cursor = call(port, "GET", _address(page_size="2"), token=admin.token)["next"]
    _change(dsn, _COME, 2 * PAGE + 2, (pages + 1) * PAGE - 1)
    _change(dsn, _SIGN_IN_ONCE)
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("vacuum (analyze)")
        session.execute("checkpoint")
    crowd = Crowd(port, admin.token, _asked(cursor))
    _see_that_it_is_deep(crowd, dsn, pages)
    _see_how_many_are_found(crowd, (pages + 1) * PAGE)
    return crowd


def _asked(cursor: str) -> Mapping[str, str]:
    return {
        LIST_FIRST: _address(),
        LIST_DEEP: _address(cursor=cursor),
        LIST_BY_NAME: _address(ordering="username"),
        SEARCH_FEW: _address(search="anna.000123"),
        SEARCH_MANY: _address(search="anna"),
        LIST_COUNTED: _address(count="true"),
    }


def _address(**parameters: str) -> str:
    return f"{_PATH}?{urlencode({'page_size': str(PAGE)} | parameters)}"


def _change(dsn: str, statement: str, *values: object) -> None:
    with psycopg.connect(dsn) as session:
        session.execute("select accounts_unguarded('benchmark')")
        session.execute(statement, values)


def _see_that_it_is_deep(crowd: Crowd, dsn: str, pages: int) -> None:
    page = call(crowd.port, "GET", crowd.asked[LIST_DEEP], token=crowd.token)
    with psycopg.connect(dsn) as session:
        row = session.execute(_UP_TO, [page["items"][-1]["id"]]).fetchone()
    if len(page["items"]) != PAGE or row != (pages * PAGE,) or not page["next"]:
        raise WrongPage(f"{len(page['items'])} users, {row} up to the last of them, next: {page['next']}")


def _see_how_many_are_found(crowd: Crowd, users: int) -> None:
    for variant, expected in {LIST_FIRST: users, SEARCH_FEW: FEW, SEARCH_MANY: many(users)}.items():
        found = call(crowd.port, "GET", f"{crowd.asked[variant]}&count=true", token=crowd.token)["count"]
        if found != expected:
            raise WrongPage(f"{variant}: {found} instead of {expected}")
