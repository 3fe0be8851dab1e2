"""`manage.py relay_outbox`: outbox → Kafka, until SIGTERM.

Before the relay begins, the table must be as it needs it: two relays that disagree on shards, or ids that do not follow
commit order, would change a key's order without a word.
"""

import sys
from typing import Any

from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandParser
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection

from events import observe
from events.conf import PORT_MOST, EventsSettings
from events.management.numbers import between
from events.outbox.progress import backlog_measured, progress_shown
from events.outbox.relay import BATCH, Relay, Until
from events.outbox.session import DatabaseAway
from events.outbox.store import SHARDS
from events.probes import probes
from events.stop import stop_on_signals


class Command(BaseCommand):
    """Builds the relay and runs it."""

    help = "Send what the outbox holds to Kafka; several share the work."

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's own options."""
        parser.add_argument("--once", action="store_true", help="end when nothing is left that can be sent now")
        parser.add_argument("--drain", action="store_true", help="end when nothing is pending at all")
        parser.add_argument("--shards", type=between(1, SHARDS), default=SHARDS, help="own so many of the 64 at most")
        parser.add_argument("--batch-size", type=between(1, 100_000), default=BATCH, help="records a read")
        parser.add_argument("--port", type=between(0, PORT_MOST), help="of the probes; 0: a free one, which is logged")

    def handle(self, **options: Any) -> None:
        """Run until asked to stop."""
        settings = EventsSettings.current()
        port = settings.relay_port if options["port"] is None else options["port"]
        if settings.shows_password:
            observe.record_password_shown()
        until = Until(once=options["once"], drained=options["drain"])
        with stop_on_signals(settings.stop_within_s) as stop, probes(settings.probes_host, port) as health:
            relay = Relay(
                settings=settings, health=health, check_table=self._check_table,
                shards=options["shards"], batch=options["batch_size"],
            )  # fmt: skip
            with backlog_measured(settings.database_direct_url), progress_shown(sys.stderr):
                relay.run(stop, until=until)

    def _check_table(self) -> None:
        """Raises SystemCheckError: the table is made otherwise. Raises DatabaseAway."""
        try:
            self.check(tags=[Tags.database], databases=[DEFAULT_DB_ALIAS])
        except (OperationalError, InterfaceError) as error:
            raise DatabaseAway(type(error).__name__) from error
        finally:
            connection.close()  # the relay has sessions of its own
