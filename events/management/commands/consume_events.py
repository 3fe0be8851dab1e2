"""`manage.py consume_events`: bring each event from Kafka to its handlers, until a signal.

Builds the loop of `inbox.consumer` and runs it; the first SIGTERM lets it finish the batch in hand.
"""

import gc
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from events import observe
from events.conf import DEAD_LETTERS, PORT_MOST, EventsSettings
from events.inbox.backlog import set_aside_measured
from events.inbox.consumer import Consumer
from events.inbox.group import Group
from events.inbox.session import waits_bounded
from events.inbox.watchdog import ROUND_MOST_S, watched
from events.management.numbers import between
from events.outbox.operator_store import is_ours
from events.probes import probes
from events.stop import stop_on_signals


class Command(BaseCommand):
    """Parse, build, run."""

    help = "Read events from Kafka and hand them to the handlers that the routes name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What the settings say holds where an option is not given."""
        parser.add_argument("--topics", help="comma list of topics; those of all routed events by default")
        parser.add_argument("--group", help="consumer group")
        parser.add_argument("--from", dest="consumer_from", choices=["earliest", "latest"],
                            help="where a group begins that has never read the topic")  # fmt: skip
        parser.add_argument("--port", dest="consumer_port", type=between(0, PORT_MOST),
                            help="of the probes; 0 takes a free one")  # fmt: skip
        parser.add_argument(
            "--once",
            action="store_true",
            help="handle what is there now, then end; what is set aside and not due stays set aside",
        )

    def handle(self, **options: Any) -> None:
        """Run until a signal, or until the end with --once."""
        settings = _settings(options)
        if settings.shows_password:
            observe.record_password_shown()
        group = group_of(settings)
        topics = options["topics"].split(",") if options["topics"] else sorted(group.routes.topics(settings.topics))
        if any(topic.endswith(DEAD_LETTERS) for topic in topics):
            raise CommandError(
                f"--topics: none that ends in {DEAD_LETTERS}: dead letters are replayed, never read again."
            )
        if not topics:
            raise CommandError("The routes name no event, so there is no topic to read. Give --topics.")
        with (
            stop_on_signals(settings.stop_within_s) as stop,
            probes(settings.probes_host, settings.consumer_port, step_most_s=ROUND_MOST_S) as health,
            watched(health),
            waits_bounded(),
            set_aside_measured(group),
        ):
            consumer = Consumer(settings=settings, topics=topics, group=group, health=health)
            # What is there now stays: looking through it again and again took a third of the CPU.
            gc.freeze()
            consumer.run(stop, once=options["once"])


def group_of(settings: EventsSettings) -> Group:
    """What the settings say of it."""
    # `outbox prune --keep-days` may go below the setting, down to this.
    provable_d = settings.least_retention_d
    return Group(
        name=settings.group, routes=settings.load_routes(), source=settings.source, is_ours=is_ours,
        provable_d=provable_d,
    )  # fmt: skip


def _settings(options: Mapping[str, Any]) -> EventsSettings:
    given = {name: options[name] for name in ("group", "consumer_from", "consumer_port") if options[name] is not None}
    return replace(EventsSettings.current(), **given)
