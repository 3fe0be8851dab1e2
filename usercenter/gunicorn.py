"""How gunicorn serves the web process; gunicorn reads this file's names as its settings.

Many threads keep `/healthz` answering while slow bodies are open and a burst of sign-ins waits for its turn to hash;
the few that need the database share its connections. The application is loaded before the fork, so that a wrong
setting ends the master at once.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any

from usercenter import settings


def _peers_within(cidrs: list[str]) -> Iterator[str]:
    """The networks; those of IPv4 as a socket for both kinds sees them, too. `start` tells which are none."""
    for cidr in cidrs:
        with suppress(ValueError):
            network = ip_network(cidr)
            yield str(network)
            if isinstance(network, IPv4Network):
                yield f"::ffff:{network.network_address}/{96 + network.prefixlen}"


_host = settings.BIND.strip("[]")
bind = f"[{_host}]:{settings.PORT}" if ":" in _host else f"{_host}:{settings.PORT}"
worker_class = "gthread"
workers = settings.WEB_WORKERS
threads = 64
preload_app = True
timeout = 30
graceful_timeout = 20
keepalive = 5
limit_request_line = 8190  # the most that there is: all parameters of a list at their longest fit in
limit_request_field_size = 8190
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - heartbeats need no disk
control_socket_disable = True
logconfig_dict = settings.LOGGING
# Who may say by X-Forwarded-Proto that https was spoken; and no header may move the application's path.
forwarded_allow_ips = ",".join(_peers_within(settings.TRUSTED_PROXIES))
forwarder_headers = ""

# Each worker's threads share these; Django's other way, a connection a thread, would take all that PostgreSQL has.
settings.DATABASES["default"]["CONN_MAX_AGE"] = 0
settings.DATABASES["default"]["OPTIONS"]["pool"] = {
    "min_size": 1, "max_size": 16, "timeout": 2.0, "reconnect_timeout": 2.0,
}  # fmt: skip

# All workers count into one folder, which /metrics adds up. prometheus_client looks for its name once, at its import.
_counts = tempfile.mkdtemp(prefix="usercenter-metrics-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _counts


def child_exit(_server: Any, worker: Any) -> None:
    """Forget the gauges of a worker that is gone; its counters stay."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - needs the folder's name

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # it has no types


def _remove_counts(master: int) -> None:
    """The counts end with the master; its workers come through here too."""
    if os.getpid() == master:
        shutil.rmtree(_counts, ignore_errors=True)


atexit.register(_remove_counts, os.getpid())
