"""`manage.py schemas`: each event class's JSON Schema, beside the app that defines it.

Generated from the classes and kept in the repository, so that a change of a published fact shows in review.
"""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from events.conf import EventsSettings
from events.routing import app_of, event_classes


class Command(BaseCommand):
    """Write or compare."""

    help = "Write the JSON Schema of each event class to <app>/schemas/<type>.json."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Writes unless told to look only."""
        parser.add_argument("--check", action="store_true", help="write nothing; end with 1 when a file differs")

    def handle(self, **options: Any) -> None:
        """Name each file that differs."""
        EventsSettings.current().load_routes()  # imports every class that has handlers
        stale = {path: schema for path, schema in _schemas() if not path.exists() or path.read_text("utf-8") != schema}
        for path, schema in stale.items():
            self.stdout.write(str(path))
            if not options["check"]:
                path.parent.mkdir(exist_ok=True)
                path.write_text(schema, "utf-8")
        if stale and options["check"]:
            raise CommandError("These differ from their event classes: manage.py schemas writes them.")


def _schemas() -> Iterator[tuple[Path, str]]:
    for event in event_classes():
        app = app_of(event)
        if app:
            schema = json.dumps(event.json_schema(), indent=2, ensure_ascii=False) + "\n"
            yield Path(app.path, "schemas", f"{event.type}.json"), schema
