"""`manage.py outbox status | requeue | prune`: the outbox in an operator's hands.

The work is done by `outbox.requeue` and `outbox.retention`; here are words in and lines out.
"""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser

from events.conf import EventsSettings
from events.management.actions import ActionCommand
from events.management.retention import kept_from
from events.outbox import operator_store as store
from events.outbox.partitions import Pin, pins
from events.outbox.requeue import requeue
from events.outbox.retention import prune


def _status(_options: dict[str, Any]) -> Iterator[str]:
    owed, pinned = {topic.topic: topic for topic in store.status()}, pins()
    for topic in sorted({*owed, *pinned}):
        yield _told(owed.get(topic) or store.TopicStatus(topic, 0, 0, None), pinned.get(topic))


def _told(owed: store.TopicStatus, pinned: Pin | None) -> str:
    oldest = "" if owed.oldest_s is None else f", the oldest for {owed.oldest_s:.0f} s"
    paused_at = pinned.paused_at if pinned else None
    paused = f"; PAUSED since {paused_at:%Y-%m-%d %H:%M:%S} UTC by `kafka topics grow`" if paused_at else ""
    return f"{owed.topic}: {owed.pending} pending{oldest}; {owed.dead} dead{paused}"


def _requeue(options: dict[str, Any]) -> Iterator[str]:
    ids, topic = options["ids"], options["topic"]
    if [bool(ids), topic is not None, options["all_dead"]].count(True) != 1:
        raise CommandError("Which ones? IDs, or --topic, or --all-dead.")
    requeued = requeue(ids or store.dead_ids(topic=topic), again=options["again"])
    yield from (
        f"{left}: left as it is: not dead, or requeued before (--again)" for left in ids if left not in requeued
    )
    yield f"requeued: {len(requeued)}"


def _prune(options: dict[str, Any]) -> Iterator[str]:
    settings = EventsSettings.current()
    before = kept_from(options["keep_days"], usual_d=settings.outbox_retention_d, least_d=settings.least_retention_d)
    yield f"deleted: {prune(before=before)}"


class Command(ActionCommand):
    """One action, told line by line."""

    help = "Show what the outbox owes, requeue dead records, delete old published ones."
    ACTIONS = {"status": _status, "requeue": _requeue, "prune": _prune}

    def add_arguments(self, parser: CommandParser) -> None:
        """One word, then its options."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        actions.add_parser("status", help="count pending and dead records, by topic")
        again = actions.add_parser("requeue", help="send dead records again, as copies with the same event id")
        again.add_argument("ids", nargs="*", type=int, metavar="ID", help="of dead records, as the admin shows them")
        again.add_argument("--topic", help="all dead records of a topic")
        again.add_argument("--all-dead", action="store_true", help="all dead records")
        again.add_argument("--again", action="store_true", help="also those that were requeued before")
        old = actions.add_parser("prune", help="delete published records older than OUTBOX_RETENTION_D")
        old.add_argument("--keep-days", type=int, metavar="N", help="instead of OUTBOX_RETENTION_D")
