"""Where a stack keeps its things; the first thing that every other module asks.

A stack lives in `.devstack/NAME/` of this checkout. Its lock and the supervisor's log lie beside the folder,
since a fresh stack removes the folder while both are in use. The Kafka jars are shared by all checkouts.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import DevstackError

CHECKOUT = Path(__file__).resolve().parent.parent


def refuse_unfit(path: Path) -> None:
    """Raise for a path in which Kafka would silently write somewhere else.

    Its properties files read a backslash as an escape, a comma as a list and bytes as Latin-1.
    """
    if not str(path).isascii() or {"\\", ","} & set(str(path)):
        message = (
            f"Kafka cannot live under {str(path)!r}: the path has a non-ASCII character, a backslash or a comma. "
            "Move the checkout to a path without one."
        )
        raise DevstackError(message)


def cache_folder() -> Path:
    """The folder of the Kafka jars: the user's cache, shared by checkouts."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "usercenter-devstack"
    refuse_unfit(folder)
    return folder


@dataclass(frozen=True, slots=True)
class Places:
    """The files of the stack called `name`."""

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", self.name):
            raise DevstackError(f"A stack's name has letters, digits, - and _ (at most 60): got {self.name!r}.")
        refuse_unfit(CHECKOUT)

    @property
    def folder(self) -> Path:
        """Data, logs and mail: all that a fresh start removes."""
        return CHECKOUT / ".devstack" / self.name

    @property
    def mailbox(self) -> Path:
        """The folder of caught mails, one .eml file each, names in order of arrival."""
        return self.folder / "mail"

    @property
    def ports(self) -> Path:
        """The ports of the last start, so that addresses stay the same where they can."""
        return self.folder / "ports.json"

    @property
    def control(self) -> Path:
        """Where the supervisor listens, and the token that it asks for."""
        return self.folder / "control.json"

    @property
    def lock(self) -> Path:
        """Locked by the supervisor for as long as it lives."""
        return self.folder.with_name(f"{self.name}.lock")

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor itself has to say."""
        return self.folder.with_name(f"{self.name}.log")

    def log(self, part: str) -> Path:
        """The output of one part."""
        return self.folder / f"{part}.log"
