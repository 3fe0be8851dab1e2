"""`manage.py dead_letters list | show | replay | discard`: what was given up, in an operator's hands.

The work is done by `inbox.dead_letters`; a replayed letter is due at once, and running consumers take it up. The admin
has the same actions. docs/dead-letters.md.
"""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser

from events.conf import EventsSettings
from events.inbox import dead_letters, store
from events.management.actions import ActionCommand
from events.models import ParkedDelivery

_LISTED = 100


def _list(options: dict[str, Any]) -> Iterator[str]:
    for letter in _chosen(options).order_by("-id")[:_LISTED]:
        yield _told(letter)


def _show(options: dict[str, Any]) -> Iterator[str]:
    letter = ParkedDelivery.objects.filter(id=options["id"], dead_at__isnull=False).first()
    if letter is None:
        raise CommandError(f"{options['id']} is no dead letter")
    record = store.record_of(letter)
    yield _told(letter)
    yield f"recorded {letter.recorded_at:%Y-%m-%d %H:%M:%S} UTC, dead since {letter.dead_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"key: {record.key!r}"
    yield from (f"{name}: {value!r}" for name, value in record.headers)
    yield f"value: {record.value!r}" if options["value"] else f"value: {len(record.value or b'')} bytes (--value)"
    yield from letter.error.splitlines()


def _told(letter: ParkedDelivery) -> str:
    handler = letter.handler or "no handler"
    place = f"{letter.topic}/{letter.partition}/{letter.offset}"
    return (
        f"{letter.id} {letter.group} {place} {letter.event_id} {handler}, {letter.attempts} attempts: {letter.reason}"
    )


def _replay(options: dict[str, Any]) -> Iterator[str]:
    replayed = dead_letters.replay(_ids(options))
    yield f"replayed: {len(replayed)}; a running consumer tries them now"


def _discard(options: dict[str, Any]) -> Iterator[str]:
    routes = EventsSettings.current().load_routes()
    yield f"discarded: {len(dead_letters.discard(_ids(options), routes=routes))}"


def _ids(options: dict[str, Any]) -> list[int]:
    is_choosing = any(options[name] for name in ("group", "handler", "topic", "reason"))
    if bool(options["ids"]) == (options["all"] or is_choosing):
        raise CommandError("Which ones? IDs; or --all, or some by --group, --handler, --topic, --reason.")
    return options["ids"] or list(_chosen(options).values_list("id", flat=True))


def _chosen(options: dict[str, Any]) -> Any:
    exact = {name: options[name] for name in ("group", "handler", "topic") if options[name]}
    begins = {"reason__startswith": options["reason"]} if options["reason"] else {}
    return ParkedDelivery.objects.filter(dead_at__isnull=False, **exact, **begins)


class Command(ActionCommand):
    """One action, told line by line."""

    help = "Look at dead letters; replay them, or discard them."
    ACTIONS = {"list": _list, "show": _show, "replay": _replay, "discard": _discard}

    def add_arguments(self, parser: CommandParser) -> None:
        """One word, then its options."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        self._add_choice(actions.add_parser("list", help=f"the newest {_LISTED}, one a line"))
        show = actions.add_parser("show", help="one of them with its headers and traceback")
        show.add_argument("id", type=int, metavar="ID")
        show.add_argument("--value", action="store_true", help="with the event's data, which may be personal")
        for action, told in (("replay", "have consumers try them again"), ("discard", "give them up for good")):
            chosen = actions.add_parser(action, help=told)
            chosen.add_argument("ids", nargs="*", type=int, metavar="ID", help="as `list` shows them")
            chosen.add_argument("--all", action="store_true", help="all that the options leave")
            self._add_choice(chosen)

    def _add_choice(self, parser: CommandParser) -> None:
        for name in ("group", "handler", "topic"):
            parser.add_argument(f"--{name}", help=f"those of one {name}")
        parser.add_argument("--reason", help="those whose reason begins so")
