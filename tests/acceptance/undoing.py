"""A user's rows as they were, past the service: quicker than somebody new each time."""

from typing import Any

import psycopg
from psycopg.types.json import Jsonb

ROWS = """
select to_jsonb(one),
    (select jsonb_agg(session) from accounts_session as session where user_id = one.id),
    (select jsonb_agg(token) from accounts_refreshtoken as token
        where session_id in (select id from accounts_session where user_id = one.id))
from accounts_user as one where id = %s
"""
_AGAIN = "insert into {0} select * from jsonb_populate_recordset(null::{0}, %s)"
AGAIN = [_AGAIN.format(table) for table in ("accounts_session", "accounts_refreshtoken")]
FORGET = [
    "delete from accounts_refreshtoken where session_id in (select id from accounts_session where user_id = %s)",
    "delete from accounts_session where user_id = %s",
]


class Undo:
    """Keeps what a user is, and makes it so again."""

    def __init__(self, tables: psycopg.Connection[Any], user_id: str) -> None:
        self._tables = tables
        [(self._user, *self._lists)] = tables.execute(ROWS, [user_id]).fetchall()

    def __call__(self) -> None:
        """The user's row, sessions and refresh tokens; what else there is of the user stays."""
        columns = ", ".join(f"{name} = kept.{name}" for name in self._user)
        with self._tables.transaction():
            self._tables.execute("select accounts_unguarded('a test')")
            self._tables.execute(
                # The columns are the table's own.
                f"update accounts_user as one set {columns} from jsonb_populate_record(null::accounts_user, %s) as kept"  # noqa: S608
                " where one.id = kept.id",
                [Jsonb(self._user)],
            )
            for statement in FORGET:
                self._tables.execute(statement, [self._user["id"]])
            for statement, rows in zip(AGAIN, self._lists, strict=True):
                self._tables.execute(statement, [Jsonb(rows)])
