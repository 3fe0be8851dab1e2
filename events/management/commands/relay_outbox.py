"""`manage.py relay_outbox`: outbox → Kafka, until SIGTERM."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from events.conf import EventsSettings
from events.outbox.relay import Relay
from events.probes import probes
from events.stop import stop_on_signals


class Command(BaseCommand):
    """Builds the relay and runs it."""

    help = "Send what the outbox holds to Kafka; several may run, one works and the others stand by."

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's own options."""
        parser.add_argument("--once", action="store_true", help="end when nothing is left that can be sent")
        parser.add_argument("--port", type=int, help="of the probes; 0: a free one, which is logged")

    def handle(self, **options: Any) -> None:
        """Run until asked to stop."""
        settings = EventsSettings.current()
        port = settings.relay_port if options["port"] is None else options["port"]
        with stop_on_signals(settings.stop_within_s) as stop, probes(settings.probes_host, port) as health:
            Relay(settings=settings, health=health).run(stop, once=options["once"])
