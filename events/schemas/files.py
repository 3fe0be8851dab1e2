"""The schema files: `<app>/schemas/<type>.json` is what the current class says and the last one published said.

`manage.py schemas` writes them. A file is its own baseline: it is written anew only where readers survive the change
(`compatibility`), or where the class says a higher `schema_version`; then the old one stays as
`<app>/schemas/<type>/<version>.json`, named as `ce_dataschema` ends, and the class must have an upcaster from it.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from events.event import Event
from events.routing import app_of
from events.schemas.compatibility import breakages

VERSION = "x-schema-version"


@dataclass(frozen=True, slots=True)
class Published:
    """What a file in the repository says: a version and its schema."""

    version: int
    schema: dict[str, Any]
    text: str


def files_of(events: Iterable[type[Event]]) -> dict[Path, str]:
    """Every file that these classes should have, and what stands in it."""
    return {path: text for event in events for path, text in _files(event)}


def refusals(events: Iterable[type[Event]]) -> list[str]:
    """Why the files may not be written as the classes are, naming event, member and what is allowed."""
    known = list(events)
    return [line for event in known for line in _refusals(event)] + list(_orphans(known))


def _files(event: type[Event]) -> Iterator[tuple[Path, str]]:
    current = _current(event)
    published = _read(current)
    if published and published.version < event.schema_version:
        yield _earlier(current, published.version), published.text
    # The version stands in the file, since the next run compares with it.
    schema = event.json_schema()
    words = {name: schema.pop(name) for name in ("$schema", "title")}
    yield current, as_text({**words, VERSION: event.schema_version, **schema})


def as_text(document: Any) -> str:
    """JSON as it stands in the repository."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _refusals(event: type[Event]) -> Iterator[str]:
    published = _read(_current(event))
    if published and published.version > event.schema_version:
        yield f"{_named(event)}: version {published.version} is published, and schema_version never goes back"
    elif published:
        yield from _without_upcaster(event, published.version)
        if published.version == event.schema_version:
            told = breakages(published.schema, event.json_schema())
            yield from (f"{_named(event)}: {breakage}. {_allowed(event)}" for breakage in told)


def _without_upcaster(event: type[Event], version: int) -> Iterator[str]:
    """Every step on the way from the earliest version that has a file, `version` being the current file's."""
    earlier = [int(path.stem) for path in _earlier(_current(event), version).parent.glob("*.json")]
    for step in range(min([*earlier, version]), event.schema_version):
        if step not in event.upcasters:
            yield (
                f"{_named(event)}: no upcaster from {step}. Consumers would give up the records of it: give one, or "
                "delete the files of that version and before, once no topic and no outbox has any"
            )


def _named(event: type[Event]) -> str:
    return f"{event.type} version {event.schema_version}"


def _allowed(event: type[Event]) -> str:
    return (
        f"Within one version only optional members may be added: raise schema_version to {event.schema_version + 1} "
        f"and give an upcaster from {event.schema_version} (or delete {_current(event)}, if that was never published)"
    )


def _orphans(events: list[type[Event]]) -> Iterator[str]:
    known = {_current(event) for event in events}
    for folder in sorted({path.parent for path in known}):
        for path in sorted(folder.glob("*.json")):
            if path not in known and _read(path):
                yield (
                    f"{path.stem}: {path} has no event class any more. Consumers skip what they do not know: keep the "
                    "class, or delete the file once no topic and no outbox has records of it"
                )


def _current(event: type[Event]) -> Path:
    app = app_of(event)
    if app is None:
        raise LookupError(f"{event.__module__}.{event.__name__} is in no installed app")
    return Path(app.path, "schemas", f"{event.type}.json")


def _earlier(current: Path, version: int) -> Path:
    return current.with_suffix("") / f"{version}.json"


def _read(path: Path) -> Published | None:
    """None where nothing was published: no file, or not one of ours."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    schema = json.loads(text)
    version = schema.get(VERSION)
    return Published(version, schema, text) if isinstance(version, int) else None
