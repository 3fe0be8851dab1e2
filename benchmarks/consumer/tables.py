"""What the variants write: emptied before each run, and compared afterwards with what was sent. Plain SQL."""

from typing import Any, LiteralString

import psycopg

from benchmarks.consumer.names import FAILING, LOGIN, NONE_FAILING, NOOP, NOTE, REFERENCE

_MAKE: tuple[LiteralString, ...] = (
    "create table sent (event_id uuid primary key, user_id uuid, at timestamptz, fails bool)",
    "create table noted (event_id uuid primary key, user_id uuid not null)",
    "create table reference_inbox (like events_inbox including all)",
    "create table plain (value bytea)",  # of `writing`
)
_WRITTEN: LiteralString = (
    "reference_inbox, events_inbox, events_parked, events_outbox, accounts_loginrecord, accounts_lastlogin,"
    " accounts_securityrecord, noted"
)

# What must be the same rows, by what it shows.
_SENT: LiteralString = "select event_id from sent"
_NOTED_OR_PARKED: LiteralString = f"""
select event_id from noted union all select event_id from events_parked where handler = '{NOTE}'
"""  # noqa: S608 - a constant
_INBOX: LiteralString = 'select event_id from events_inbox where "group" = %(group)s'
_IN_INBOX = {"every event once in the inbox": (_SENT, _INBOX)}
_LOGGED = _IN_INBOX | {
    "every sign-in once in the login log": (
        "select event_id, user_id, at from sent",
        "select id, user_id, at from accounts_loginrecord",
    ),
    "each user's last sign-in": (
        "select user_id, max(at) from sent group by user_id",
        "select user_id, at from accounts_lastlogin",
    ),
}
_ATTEMPTED: LiteralString = "select event_id from events_parked where attempts > 0"
_MUST_BE_SAME: dict[str, dict[str, tuple[LiteralString, LiteralString]]] = {
    REFERENCE: {
        "every event once": (_SENT, "select event_id from reference_inbox"),
    },
    NOOP: _IN_INBOX,
    LOGIN: _LOGGED,
    NONE_FAILING: _LOGGED | {"every event noted once": (_SENT, "select event_id from noted")},
    FAILING: _LOGGED
    | {
        "every event noted once, or parked once": (_SENT, _NOTED_OR_PARKED),
        "what fails is parked": (
            "select event_id from sent where fails",
            "select event_id from events_parked join sent using (event_id) where fails",
        ),
        "nothing else has failed": (f"{_ATTEMPTED} intersect {_SENT} where fails", _ATTEMPTED),
    },
}
_DIFFERENCE: LiteralString = """
select count(*) from (({wanted} except all ({found})) union all (({found}) except all {wanted})) as difference
"""


class WrongOutcome(Exception):
    """A variant did not do what it is measured for; the message says which and what."""


class Tables:
    """Of one database."""

    def __init__(self, dsn: str) -> None:
        self._session: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(dsn, autocommit=True)

    def close(self) -> None:
        """Let go of the session."""
        self._session.close()

    def make(self) -> None:
        """Those that the application has not."""
        for statement in _MAKE:
            self._session.execute(statement)

    def clear(self) -> None:
        """Empty, vacuumed, analysed, and nothing left to be written to disk: every run begins alike."""
        self._session.execute(f"truncate {_WRITTEN}")
        self._session.execute(f"vacuum (analyze) {_WRITTEN}")
        self._session.execute("checkpoint")

    def check(self, variant: str, *, group: str) -> None:
        """Compare what was written with what was sent. Raises WrongOutcome."""
        for claim, (wanted, found) in _MUST_BE_SAME[variant].items():
            statement = _DIFFERENCE.format(wanted=f"({wanted})", found=found)
            differing = self._number(statement, {"group": group})
            if differing:
                raise WrongOutcome(f"{variant}: not {claim}: {differing} rows differ")

    def handled(self, *, group: str) -> int:
        """How many records this group has settled."""
        return self._number('select count(*) from events_inbox where "group" = %(group)s', {"group": group})

    def _number(self, statement: LiteralString, parameters: dict[str, str]) -> int:
        row = self._session.execute(statement, parameters).fetchone()
        assert row is not None  # noqa: S101 - a count gives one row
        return int(row[0])
