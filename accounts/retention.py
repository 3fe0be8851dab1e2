"""What is kept for a while only: `usercenter.tasks` has it deleted, a little at a time, so that no lock is held long.

Counts and sessions of the admin go when they are over, keys of repeated requests after 24 h; sessions with their tokens
30 days after their end, links 30 days after they would have expired, used or not, calls 30 days after they were made or
skipped; the logs after 180. Calls that were given up stay, for an operator to look at.
"""

from django.db import connection

AT_ONCE = 1_000

_OVER = "coalesce(ended_at, expires_at) < now() - interval '30 days'"
# A session goes after its tokens, which tell a reuse as long as it is there.
_RULES = {
    "accounts_throttle": "ends_at < now()",
    "accounts_idempotencykey": "created_at < now() - interval '24 hours'",
    "django_session": "expire_date < now()",
    "accounts_link": "expires_at < now() - interval '30 days'",
    "accounts_refreshtoken": f"session_id in (select id from accounts_session where {_OVER})",  # noqa: S608 - constants
    "accounts_session": f"{_OVER} and not exists (select from accounts_refreshtoken where session_id = id)",
    "accounts_outsidecall": "settled_at < now() - interval '30 days'",
    "accounts_loginrecord": "at < now() - interval '180 days'",
    "accounts_securityrecord": "at < now() - interval '180 days'",
}


def prune() -> None:
    """Delete all that is over its time. Each batch commits by itself."""
    for table, rule in _RULES.items():
        while _delete(table, rule) == AT_ONCE:
            pass


def _delete(table: str, rule: str) -> int:
    """How many rows were deleted, AT_ONCE at most; those that somebody has locked are left for the next time."""
    some = f"select ctid from {table} where {rule} limit {AT_ONCE} for update skip locked"  # noqa: S608 - constants
    with connection.cursor() as cursor:
        cursor.execute(f"delete from {table} where ctid = any(array({some}))")  # noqa: S608 - constants
        return int(cursor.rowcount)
