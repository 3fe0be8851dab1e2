"""Commands of several actions (`outbox status`, `dead_letters replay`, …): one is run, and tells line by line."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

Options = dict[str, Any]


class ActionCommand(BaseCommand):
    """`ACTIONS` are those that the first word may name."""

    ACTIONS: ClassVar[Mapping[str, Callable[[Options], Iterator[str]]]]

    def handle(self, **options: Any) -> None:
        """Exit code 1 and one line where it cannot be done."""
        try:
            for line in self.ACTIONS[options["action"]](options):
                self.stdout.write(line)
        except OperationalError as error:
            raise CommandError(f"PostgreSQL: {error}") from error
