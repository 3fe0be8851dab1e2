"""Running PostgreSQL as root, which it refuses: its commands run as somebody else. Used by parts.postgres alone."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from devstack.errors import DevstackError


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose name a command runs under: words before it, or a user to change to (None: as we are)."""

    prefix: tuple[str, ...] = ()
    user: int | None = None


@cache
def ordinary() -> Identity:
    """An identity that PostgreSQL accepts."""
    if os.geteuid():
        return Identity()
    # A user namespace: root inside looks like user 1000, and files stay root's, whatever folder they lie in.
    prefix = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
    if shutil.which("unshare") and not subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        return Identity(prefix=prefix)
    return Identity(user=pwd.getpwnam("nobody").pw_uid)


def hand_over(folder: Path, identity: Identity) -> None:
    """Make `folder` the property of the identity's user, who must be able to reach it."""
    if identity.user is None:
        return
    for parent in folder.resolve().parents:
        if not parent.stat().st_mode & 0o001:
            raise DevstackError(
                "PostgreSQL does not run as root, user namespaces are forbidden here, and others may not enter "
                f"{parent}. Run as an ordinary user, or move the checkout."
            )
    os.chown(folder, identity.user, -1)
