"""What the supervisor must know of a part; each module beside this one describes one."""

import signal
from pathlib import Path
from typing import Protocol


class Part(Protocol):
    """One server: how to set it up, start it, see that it is ready and end it."""

    name: str
    ready_line: bytes
    stop_signal: signal.Signals
    ports: list[int]

    @property
    def argv(self) -> list[str]:
        """The server's command, with its ports."""

    def configure(self) -> None:
        """Make folders and write files; run before each start."""

    @property
    def set_up(self) -> list[list[str]]:
        """Commands to run in turn before the very first start on an empty folder."""

    @property
    def made(self) -> Path:
        """A file that says that `set_up` ran to its end."""

    @property
    def environ(self) -> dict[str, str]:
        """The addresses, under the names that the application reads."""
