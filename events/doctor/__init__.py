"""The doctor: what could break the promises of outbox and relay without a word, looked for before it does.

The command `doctor` shows all of it; `checks` shows what is wrong with the table as system checks. One module a place
to look: `libraries` of this process, the `database`, the way there and the `cluster`. What each line is good for:
docs/doctor.md.
"""

from collections.abc import Iterator

from events.conf import EventsSettings
from events.doctor import cluster, database, libraries
from events.doctor.finding import Finding as Finding


def examine(settings: EventsSettings) -> Iterator[Finding]:
    """Everything, one by one. What cannot be reached is one problem, and what lies behind it is not looked at."""
    yield from libraries.findings(settings)
    yield from database.findings(settings)
    yield from cluster.findings(settings)
