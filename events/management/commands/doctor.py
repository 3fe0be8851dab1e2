"""`manage.py doctor`: what could break the outbox's promises without a word, and what to do about it.

Looks by `events.doctor`; changes nothing. docs/doctor.md explains every line.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from events.conf import EventsSettings
from events.doctor import Finding, examine


class Command(BaseCommand):
    """A line for each thing looked at, as soon as it is known."""

    help = "Look at libraries, PostgreSQL, brokers and topics; exit 1 where anything is wrong."

    def handle(self, **options: Any) -> None:
        """Exit code 1 if there is any problem."""
        problems = sum(self._tell(finding) for finding in examine(EventsSettings.current()))
        if problems:
            raise CommandError(f"{problems} to mend")

    def _tell(self, finding: Finding) -> bool:
        state = "PROBLEM" if finding.is_problem else "ok"
        self.stdout.write(f"{state:<8} {finding.subject}: {finding.found}")
        if finding.is_problem:
            self.stdout.write(f"{'':<8} → {finding.remedy}")
        return finding.is_problem
