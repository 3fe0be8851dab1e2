"""What the processes print, kept and searchable: the demo's only view of relay, consumer and worker."""

import io
import json
import threading
from typing import Any


class LogBook(io.TextIOBase):
    """A text stream for `Processes` to write to. JSON lines can be found by their members."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._entries: list[dict[str, Any]] = []

    def write(self, text: str) -> int:
        """Take one line or more, each headed by its process's name."""
        with self._lock:
            for line in text.splitlines():
                self._lines.append(line)
                self._entries.extend(_entry(line))
        return len(text)

    def find(self, **members: Any) -> dict[str, Any] | None:
        """The first JSON line with all of these members."""
        return next(iter(self.all(**members)), None)

    def all(self, **members: Any) -> list[dict[str, Any]]:
        """Every JSON line with all of these members, the oldest first."""
        with self._lock:
            return [
                entry for entry in self._entries if all(entry.get(name) == wanted for name, wanted in members.items())
            ]

    def tail(self, lines: int = 30) -> str:
        """The last lines as they came."""
        with self._lock:
            return "\n".join(self._lines[-lines:])


def _entry(line: str) -> list[dict[str, Any]]:
    _, _, text = line.partition("│ ")
    try:
        entry = json.loads(text)
    except ValueError:
        return []
    return [entry] if isinstance(entry, dict) else []
