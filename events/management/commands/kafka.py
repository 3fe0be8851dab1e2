"""`manage.py kafka topics create | list | describe [NAME] | grow NAME`: the cluster as an operator sees it."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from events.conf import EventsSettings
from events.errors import Permanent, Transient
from events.kafka import Admin
from events.outbox.growth import CannotGrow, Growth
from events.outbox.partitions import pin, pins
from events.stop import stop_on_signals


class Command(BaseCommand):
    """What the admin client does or finds, line by line."""

    help = "Create, list, describe and grow topics."

    def add_arguments(self, parser: CommandParser) -> None:
        """Two words and, for `describe` and `grow`, a name."""
        subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
        actions = subjects.add_parser("topics", help="the topics of the cluster").add_subparsers(
            dest="action", required=True, metavar="ACTION"
        )
        actions.add_parser("create", help="make every configured topic and its .dlq, where missing")
        actions.add_parser("list", help="print the names of all topics")
        describe = actions.add_parser("describe", help="print the partitions of one topic, or of all configured ones")
        describe.add_argument("name", nargs="?", metavar="NAME")
        grow = actions.add_parser("grow", help="give a topic more partitions, keeping the order of every key")
        grow.add_argument("name", metavar="NAME")
        grow.add_argument("--partitions", type=int, required=True, metavar="N", help="in all")
        grow.add_argument("--group-within", type=float, default=120.0, metavar="SECONDS",
                          help="give up if the group has not handled everything by then")  # fmt: skip

    def handle(self, **options: Any) -> None:
        """Exit code 1 and one line where it cannot be done."""
        settings = EventsSettings.current()
        try:
            with closing(Admin(settings)) as admin:
                self._act(admin, settings, options)
        except CannotGrow as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"PostgreSQL: {error}") from error
        except Transient as error:
            raise CommandError(f"KAFKA_BROKERS={','.join(settings.brokers)}: no broker answered ({error})") from error
        except Permanent as error:
            raise CommandError(f"Kafka refuses: {type(error).__name__}: {error}") from error

    def _act(self, admin: Admin, settings: EventsSettings, options: dict[str, Any]) -> None:
        match options["action"]:
            case "create":
                self._tell(_create(admin, name) for name in settings.topic_names())
            case "list":
                self._tell(admin.topics())
            case "describe":
                names = [options["name"]] if options["name"] else settings.topic_names()
                self._tell(line for name in names for line in _describe(admin, name))
            case "grow":
                self._grow(admin, settings, options)

    def _tell(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line)

    def _grow(self, admin: Admin, settings: EventsSettings, options: dict[str, Any]) -> None:
        with stop_on_signals(settings.stop_within_s) as stop:
            Growth(
                settings=settings, admin=admin, topic=options["name"], partitions=options["partitions"],
                group_within_s=options["group_within"], stop=stop, tell=self.stdout.write,
            ).run()  # fmt: skip


def _create(admin: Admin, name: str) -> str:
    """Pin what there is; where there was a pin, what it says is made. Only `grow` changes it."""
    pinned = pins().get(name)
    is_new = admin.create_topic(name, partitions=pinned.partitions if pinned else None)
    there = len(admin.describe_topic(name))
    pin(name, there)
    told = f"{name}: {'created' if is_new else 'exists already'}"
    if pinned and pinned.partitions != there:
        return f"{told}, with {there} partitions where {pinned.partitions} are pinned: see `kafka topics grow`"
    return told


def _describe(admin: Admin, name: str) -> Iterator[str]:
    states = admin.describe_topic(name)
    yield f"{name}: {len(states)} partitions"
    for state in states:
        leader = state.leader if state.leader >= 0 else "none"
        replicas, in_sync = (",".join(map(str, ids)) for ids in (state.replicas, state.in_sync))
        yield f"  partition {state.partition}: leader {leader}, replicas {replicas}, in sync {in_sync}"
