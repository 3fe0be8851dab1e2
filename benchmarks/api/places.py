"""Where it is measured: a web process on a database of its own, idle but for its turns, and who is signed in there.

Opened by `bench`; what its turns leave in the database is asked for here.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg

from benchmarks.api.people import Person, people
from benchmarks.frame.ground import Ground
from benchmarks.frame.web import serving_web

_WRITTEN = """
select (select sum(version - 1)::bigint from accounts_user),
    (select count(*) from events_outbox where type = 'user.updated')
"""


class Written(NamedTuple):
    """How often users were changed, and how many events tell of it."""

    changes: int
    events: int

    def since(self, before: "Written") -> "Written":
        """What has come since."""
        return Written(self.changes - before.changes, self.events - before.events)


@dataclass(frozen=True, slots=True)
class Place:
    """The database with all its settings, the web process's port, and one user a connection."""

    ground: Ground
    port: int
    who: Sequence[Person] = field(default=())

    def written(self) -> Written:
        """Up to now."""
        with psycopg.connect(self.ground.dsn) as session:
            row = session.execute(_WRITTEN).fetchone()
        assert row is not None  # noqa: S101 - two counts give one row
        return Written(*row)


@contextmanager
def place(ground: Ground, **settings: str) -> Iterator[Place]:
    """A web process there, with users who are registered by it. `settings` are of its environment."""
    with serving_web(ground, **settings) as port:
        yield Place(ground, port, people(port))


def without_triggers(ground: Ground) -> Ground:
    """The same, where users may be changed without their events."""
    with psycopg.connect(ground.dsn) as session:
        session.execute("alter table accounts_user disable trigger user")
    return ground
