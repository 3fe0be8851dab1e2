"""An outbox that is far behind, in a database of its own; and how many records wait in either.

Made once by `bench`, before the web process that works on it.
"""

from contextlib import closing

import psycopg

from benchmarks.frame.ground import Ground
from benchmarks.relay.outbox import Outbox

_PENDING = "select count(*) from events_outbox where published_at is null"


def fill(ground: Ground, *, samples: int, times: int) -> None:
    """Leave `samples` times `times` pending records, vacuumed, and nothing left to be written to disk."""
    ground.run_in_django("frame.samples", str(samples))
    with closing(Outbox(ground.dsn)) as outbox:
        outbox.keep_samples()
        outbox.let_go(times, readers=0)
    with psycopg.connect(ground.dsn, autocommit=True) as session:
        session.execute("vacuum (analyze) events_outbox")
        session.execute("checkpoint")


def pending(ground: Ground) -> int:
    """Records that wait."""
    with psycopg.connect(ground.dsn) as session:
        row = session.execute(_PENDING).fetchone()
    assert row is not None  # noqa: S101 - a count gives one row
    return int(row[0])
