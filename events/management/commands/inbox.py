"""`manage.py inbox status | prune`: the inbox in an operator's hands.

The work is done by `inbox.operator_store` and `inbox.retention`; here are words in and lines out. Dead letters have a
command of their own.
"""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from events.conf import EventsSettings
from events.inbox import operator_store, store
from events.inbox.retention import prune
from events.management.actions import ActionCommand
from events.management.retention import kept_from


def _status(options: dict[str, Any]) -> Iterator[str]:
    settings = EventsSettings.current()
    group = options["group"] or settings.group
    counted = operator_store.count(group=group, going_on=settings.load_routes().going_on)
    horizon = store.horizon(group=group)
    yield f"{group}: {counted.parked} to be retried, {counted.waiting} waiting behind others of their keys"
    yield f"{group}: {counted.dead} dead letters, {counted.behind_dead} waiting behind one"
    yield f"{group}: knows every event since {horizon:%Y-%m-%d %H:%M:%S} UTC" if horizon else f"{group}: never pruned"


def _prune(options: dict[str, Any]) -> Iterator[str]:
    settings = EventsSettings.current()
    before = kept_from(options["keep_days"], usual_d=settings.inbox_retention_d, least_d=settings.least_retention_d)
    yield f"forgotten: {prune(before=before)}"


class Command(ActionCommand):
    """One action, told line by line."""

    help = "Show which deliveries are set aside, forget old events."
    ACTIONS = {"status": _status, "prune": _prune}

    def add_arguments(self, parser: CommandParser) -> None:
        """One word, then its options."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        status = actions.add_parser("status", help="count parked deliveries and dead letters")
        status.add_argument("--group", help="instead of KAFKA_GROUP_ID")
        old = actions.add_parser("prune", help="forget events received more than INBOX_RETENTION_D ago")
        old.add_argument("--keep-days", type=int, metavar="N", help="instead of INBOX_RETENTION_D")
