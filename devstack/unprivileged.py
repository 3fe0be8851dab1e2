"""PostgreSQL refuses to run as root: its commands are made to run as somebody else. Used by parts.postgres alone."""

import os
import pwd
import shutil
import subprocess
from functools import cache
from pathlib import Path

from devstack.errors import DevstackError

# Root inside looks like user 1000, and files stay root's, whatever folder they lie in.
_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")


def unprivileged(argv: list[str]) -> list[str]:
    """`argv`, changed where we are root so that it runs as an ordinary user."""
    return [*_prefix(), *argv]


def hand_over(folder: Path, *, program: Path) -> None:
    """Let the ordinary user own `folder` and reach it and `program`. Raises where a folder above forbids that."""
    if not _prefix() or _prefix() == _NAMESPACE:
        return
    for parent in (*folder.resolve().parents, *program.resolve().parents):
        if not parent.stat().st_mode & 0o001:
            raise DevstackError(
                "PostgreSQL does not run as root, user namespaces are forbidden here, and others may not enter "
                f"{parent}. Run as an ordinary user, or move the checkout."
            )
    os.chown(folder, _nobody().pw_uid, _nobody().pw_gid)


@cache
def _prefix() -> tuple[str, ...]:
    if os.geteuid():
        return ()
    if _works(*_NAMESPACE):
        return _NAMESPACE
    ids = (f"--reuid={_nobody().pw_uid}", f"--regid={_nobody().pw_gid}", "--clear-groups")
    # A change of user clears the request that `bound` made.
    setpriv = ("setpriv", *ids, "--pdeathsig=INT", "--")
    if _works(*setpriv):
        return setpriv
    raise DevstackError("PostgreSQL does not run as root: run as an ordinary user.")


def _works(*prefix: str) -> bool:
    if not shutil.which(prefix[0]):
        return False
    return not subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode


def _nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")
