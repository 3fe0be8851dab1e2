"""`manage.py relay_outbox`: outbox → Kafka, until SIGTERM.

Before the relay begins, the table must be as it needs it: two relays that disagree on shards, or ids that do not follow
commit order, would change a key's order without a word.
"""

import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from itertools import count
from typing import Any

from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandParser
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection

from events import observe
from events.conf import EventsSettings
from events.outbox.progress import backlog_measured, progress_shown
from events.outbox.relay import AFTER_OUTAGE, BATCH, Relay, Until
from events.outbox.store import SHARDS
from events.probes import Health, probes
from events.stop import Stop, stop_on_signals


class Command(BaseCommand):
    """Builds the relay and runs it."""

    help = "Send what the outbox holds to Kafka; several share the work."

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's own options."""
        parser.add_argument("--once", action="store_true", help="end when nothing is left that can be sent now")
        parser.add_argument("--drain", action="store_true", help="end when nothing is pending at all")
        parser.add_argument("--shards", type=_up_to(SHARDS), default=SHARDS, help="own so many of the 64 at most")
        parser.add_argument("--batch-size", type=_up_to(100_000), default=BATCH, help="records a read")
        parser.add_argument("--port", type=int, help="of the probes; 0: a free one, which is logged")

    def handle(self, **options: Any) -> None:
        """Run until asked to stop."""
        settings = EventsSettings.current()
        port = settings.relay_port if options["port"] is None else options["port"]
        until = Until(once=options["once"], drained=options["drain"])
        with stop_on_signals(settings.stop_within_s) as stop, probes(settings.probes_host, port) as health:
            self._check_table(stop, health)
            relay = Relay(settings=settings, health=health, shards=options["shards"], batch=options["batch_size"])
            with backlog_measured(settings.database_direct_url), progress_shown(sys.stderr):
                relay.run(stop, until=until)

    def _check_table(self, stop: Stop, health: Health) -> None:
        """Raises SystemCheckError: the table is made otherwise. A database that is away is waited for, then asked."""
        for attempt in count(1):
            try:
                self.check(tags=[Tags.database], databases=[DEFAULT_DB_ALIAS])
            except (OperationalError, InterfaceError):
                wait_s = AFTER_OUTAGE.wait_s(attempt)
            else:
                return
            finally:
                connection.close()  # the relay has sessions of its own
            observe.record_waiting(part="database", wait_s=wait_s)
            health.went_round(missing="database")
            if stop.wait(wait_s):
                return


def _up_to(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if text.isdigit() and 1 <= int(text) <= most:
            return int(text)
        raise ArgumentTypeError(f"1 to {most}")

    return number
