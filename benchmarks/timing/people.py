"""The users that the pairs ask about, each made through the API, and what no endpoint makes of them by SQL.

Called by `run` once, before anything is timed.
"""

from typing import LiteralString

import psycopg
from argon2 import PasswordHasher

from benchmarks.frame.ground import Ground
from benchmarks.frame.web import API, call
from benchmarks.timing.pairs import CACHED, OLD_HASH, RIGHT, SUSPENDED, UNUSABLE, USERS, email_of

_SUSPEND: LiteralString = "update accounts_user set status = 'suspended' where username = %s"
_SET_PASSWORD: LiteralString = "update accounts_user set password = %s where username = %s"  # noqa: S105 - SQL
# Django's own parameters, which an installation that comes from plain Django has stored.
_OLD = PasswordHasher(time_cost=2, memory_cost=102_400, parallelism=8)


def make_people(ground: Ground, port: int) -> None:
    """All of `USERS`, each in its state."""
    for name in USERS:
        body = {"username": name, "email": email_of(name), "password": RIGHT}
        told = call(port, "POST", f"{API}/register", body=body)
        if name == CACHED:
            call(port, "GET", f"{API}/{told['user']['id']}/profile", token=told["token"])
    with psycopg.connect(ground.dsn) as session:
        session.execute("select accounts_unguarded('a benchmark')")
        session.execute(_SUSPEND, [SUSPENDED])
        session.execute(_SET_PASSWORD, ["!unusable", UNUSABLE])
        session.execute(_SET_PASSWORD, [f"argon2{_OLD.hash(RIGHT)}", OLD_HASH])
