"""How gunicorn serves the web process; gunicorn reads this file's names as its settings.

Threads keep `/healthz` answering while slow bodies are open. The application is loaded before the fork, so that
a wrong setting ends the master at once.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import prometheus_client.multiprocess

bind = f"{os.environ.get('BIND', '127.0.0.1')}:{os.environ.get('PORT', '8080')}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = 8
preload_app = True
timeout = 30
graceful_timeout = 20
keepalive = 5
limit_request_line = 4094
limit_request_field_size = 8190
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - heartbeats need no disk
control_socket_disable = True

# All workers count into one folder, which /metrics adds up. It must be known before the application is loaded.
_counts = tempfile.mkdtemp(prefix="usercenter-metrics-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _counts


def child_exit(_server: Any, worker: Any) -> None:
    """Forget the gauges of a worker that is gone; its counters stay."""
    prometheus_client.multiprocess.mark_process_dead(worker.pid)


def on_exit(_server: Any) -> None:
    """The counts end with the master."""
    shutil.rmtree(_counts, ignore_errors=True)
