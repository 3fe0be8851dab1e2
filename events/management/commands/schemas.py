"""`manage.py schemas`: each event class's JSON Schema beside its app, and the AsyncAPI document of all.

Generated from the classes and kept in the repository, so that a change of a published fact shows in review; one that
its readers would not survive is refused (`events.schemas.compatibility`).
"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from events.conf import EventsSettings
from events.routing import event_classes
from events.schemas.asyncapi import document
from events.schemas.files import as_text, files_of, refusals


class Command(BaseCommand):
    """Write or compare."""

    help = "Write the JSON Schema of each event class to <app>/schemas/<type>.json, and the AsyncAPI document of all."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Writes unless told to look only."""
        parser.add_argument("--check", action="store_true", help="write nothing; end with 1 when a file differs")
        parser.add_argument(
            "--asyncapi", metavar="PATH", type=Path, help="the AsyncAPI document's file; none by default"
        )

    def handle(self, **options: Any) -> None:
        """Name each file that differs."""
        wanted = _wanted(options["asyncapi"])
        stale = {path: text for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text}
        for path, text in stale.items():
            self.stdout.write(str(path))
            if not options["check"]:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
        if stale and options["check"]:
            raise CommandError("These differ from their event classes: manage.py schemas writes them.")


def _wanted(asyncapi: Path | None) -> dict[Path, str]:
    settings = EventsSettings.current()
    routes = settings.load_routes()  # imports every class that has handlers
    events = event_classes()
    refused = refusals(events)
    if refused:
        raise CommandError("\n".join(refused))
    files = files_of(events)
    if asyncapi:
        files[asyncapi] = as_text(document(events, routes, settings.documented_topics()))
    return files
