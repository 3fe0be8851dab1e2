"""The mail catcher: our own `devstack.catcher` as a part."""

import signal
import sys
from pathlib import Path


class Smtp:
    """Accepts every mail and keeps it as a file."""

    name = "smtp"
    ready_line = b"ready to accept mail"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.folder = folder / "mail"
        self.ports = ports
        self.made = self.folder

    def configure(self) -> None:
        """Make the mailbox."""
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def set_up(self) -> list[list[str]]:
        """Nothing to do."""
        return []

    @property
    def argv(self) -> list[str]:
        """The catcher."""
        return [sys.executable, "-m", "devstack.catcher", str(self.ports[0]), str(self.folder)]

    @property
    def environ(self) -> dict[str, str]:
        """Plain SMTP without a login."""
        return {"EMAIL_URL": f"smtp://127.0.0.1:{self.ports[0]}"}
