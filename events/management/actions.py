"""Commands of several actions (`outbox status`, `dead_letters replay`, …): one is run, and tells line by line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

Options = dict[str, Any]


@contextmanager
def told_where_away() -> Iterator[None]:
    """A database that is away ends a command in one line. Raises CommandError."""
    try:
        yield
    except OperationalError as error:
        raise CommandError(f"PostgreSQL: {' '.join(str(error).split())}") from error


class ActionCommand(BaseCommand):
    """`ACTIONS` are those that the first word may name."""

    ACTIONS: ClassVar[Mapping[str, Callable[[Options], Iterator[str]]]]

    def handle(self, **options: Any) -> None:
        """Exit code 1 and one line where it cannot be done."""
        with told_where_away():
            for line in self.ACTIONS[options["action"]](options):
                self.stdout.write(line)
