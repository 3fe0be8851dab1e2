"""`manage.py kafka topics create | list | describe [NAME]`: the cluster as an operator sees it."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.conf import EventsSettings
from events.errors import Permanent, Transient
from events.kafka import Admin

DEAD_LETTERS = ".dlq"


class Command(BaseCommand):
    """One call of the admin client; what it found, line by line."""

    help = "Create, list and describe topics."

    def add_arguments(self, parser: CommandParser) -> None:
        """Two words and, for `describe`, a name."""
        subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
        actions = subjects.add_parser("topics", help="the topics of the cluster").add_subparsers(
            dest="action", required=True, metavar="ACTION"
        )
        actions.add_parser("create", help="make every configured topic and its .dlq, where missing")
        actions.add_parser("list", help="print the names of all topics")
        describe = actions.add_parser("describe", help="print the partitions of one topic, or of all configured ones")
        describe.add_argument("name", nargs="?", metavar="NAME")

    def handle(self, **options: Any) -> None:
        """Exit code 1 and one line where it cannot be done."""
        settings = EventsSettings.current()
        try:
            with closing(Admin(settings)) as admin:
                for line in _lines(admin, settings, options):
                    self.stdout.write(line)
        except Transient as error:
            raise CommandError(f"KAFKA_BROKERS={','.join(settings.brokers)}: no broker answered ({error})") from error
        except Permanent as error:
            raise CommandError(f"Kafka refuses: {type(error).__name__}: {error}") from error


def _lines(admin: Admin, settings: EventsSettings, options: dict[str, Any]) -> Iterable[str]:
    configured = [name for topic in settings.topics.values() for name in (topic, topic + DEAD_LETTERS)]
    match options["action"]:
        case "create":
            return (_create(admin, name) for name in configured)
        case "list":
            return admin.topics()
    names = [options["name"]] if options["name"] else configured
    return (line for name in names for line in _describe(admin, name))


def _create(admin: Admin, name: str) -> str:
    return f"{name}: {'created' if admin.create_topic(name) else 'exists already'}"


def _describe(admin: Admin, name: str) -> Iterator[str]:
    states = admin.describe_topic(name)
    yield f"{name}: {len(states)} partitions"
    for state in states:
        leader = state.leader if state.leader >= 0 else "none"
        replicas, in_sync = (",".join(map(str, ids)) for ids in (state.replicas, state.in_sync))
        yield f"  partition {state.partition}: leader {leader}, replicas {replicas}, in sync {in_sync}"
