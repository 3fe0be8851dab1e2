"""Quotas: how often something may be tried, counted before it is done.

Services and `outside.notices` call `count` first of all; who is over a quota is refused, and nothing is counted. The
counts are PostgreSQL's, by one upsert in a transaction of its own: it is exact however many try at once, and needs no
cache. What is counted (names, addresses) stands there as a keyed hash.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from django.db import connection, transaction

from accounts import opaque
from accounts.conf import AccountsSettings, Window
from accounts.errors import Refused

S = TypeVar("S")

# Sorted, so that two that count the same things wait for each other and never deadlock. A crash of the database may
# lose the last moment's counts: waiting for its disk at each attempt would cost more than that. What is left of a
# window is told by the clock: who waited began before the window, which would seem longer than it is.
_COUNT = """
insert into accounts_throttle as counted (key, count, ends_at)
select key, 1, now() + make_interval(secs => within_s)
from unnest(%s::text[], %s::int[]) as asked(key, within_s),
    (select set_config('synchronous_commit', coalesce(%s, current_setting('synchronous_commit')), true)) as soon
order by key
on conflict (key) do update set
    count = case when counted.ends_at <= now() then 1 else counted.count + 1 end,
    ends_at = case when counted.ends_at <= now() then excluded.ends_at else counted.ends_at end
returning key, count, greatest(1, ceil(extract(epoch from ends_at - clock_timestamp())))::int
"""

# In the same order as above.
_FORGET = """
with asked as materialized (select key from accounts_throttle where key = any(%s) order by key for update)
delete from accounts_throttle where key in (select key from asked)
"""


@dataclass(frozen=True, slots=True)
class Over:
    """A quota that is used up: `most` in `within_s` seconds, and the time until it begins anew."""

    name: str
    most: int
    within_s: int
    again_in_s: int


class RateLimited(Refused):
    """Tried too often; `over` is the quota that lasts longest."""

    def __init__(self, over: Over) -> None:
        super().__init__()
        self.over = over


def count(subjects: Mapping[str, str]) -> None:
    """Count one try for each quota's subject, or for none of them. Raises RateLimited."""
    asked = {_key(name, window, subject): (name, window) for name, window, subject in _windows(subjects)}
    # Within another transaction it is that one's to say how its commit goes.
    commit = None if connection.in_atomic_block else "off"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_COUNT, [list(asked), [window.within_s for _, window in asked.values()], commit])
        counted = cursor.fetchall()
        over = [
            Over(asked[key][0], asked[key][1].most, asked[key][1].within_s, again_in_s)
            for key, tried, again_in_s in counted
            if tried > asked[key][1].most
        ]
        if over:
            raise RateLimited(max(over, key=lambda one: one.again_in_s))


def counts(quota: str, subjects: Mapping[str, S]) -> dict[S, int]:
    """How many tries stand now in the quota's first window, of those of these subjects that have any."""
    window = AccountsSettings.current().quotas[quota][0]
    asked = {_key(quota, window, subject): told for subject, told in subjects.items()}
    with connection.cursor() as cursor:
        cursor.execute("select key, count from accounts_throttle where key = any(%s) and ends_at > now()", [[*asked]])
        return {asked[key]: tried for key, tried in cursor.fetchall()}


def forget(subjects: Mapping[str, str]) -> None:
    """Begin these counts anew, in the caller's transaction."""
    keys = [_key(name, window, subject) for name, window, subject in _windows(subjects)]
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [keys])


def _windows(subjects: Mapping[str, str]) -> list[tuple[str, Window, str]]:
    quotas = AccountsSettings.current().quotas
    return [(name, window, subject) for name, subject in subjects.items() for window in quotas[name]]


def _key(name: str, window: Window, subject: str) -> str:
    return f"{name}/{window.within_s}:{opaque.keyed('throttle', subject).hex()}"
