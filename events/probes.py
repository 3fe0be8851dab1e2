"""`/healthz`, `/readyz` and `/metrics` of a command that has no web server: relay and consumer.

Served by a thread of its own on loopback, so that a busy loop still answers.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from django.core.management.base import CommandError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from events import observe

STALLED_AFTER_S = 30.0


class Health:
    """What the loop says of itself: when it last went round, and which part it is waiting for.

    `step_most_s`: how long one round may take without anything being wrong, if that is more than 30 s.
    """

    def __init__(self, *, step_most_s: float = 0.0) -> None:
        self._step_most_s = step_most_s
        self._went_round = time.monotonic()
        self._missing: str | None = "start"

    def went_round(self, *, missing: str | None = None) -> None:
        """The loop made a step; `missing` names the part that it waits for, if any.

        `kafka`, `database`, or the handler whose own part is away.
        """
        self._went_round = time.monotonic()
        self._missing = missing

    @property
    def went_round_at(self) -> float:
        """When the loop last made a step, on the monotonic clock."""
        return self._went_round

    @property
    def is_alive(self) -> bool:
        """The loop went round within the last 30 s, or as long as one of its rounds may take."""
        return time.monotonic() - self._went_round < max(STALLED_AFTER_S, self._step_most_s)

    @property
    def missing(self) -> str | None:
        """The part that is away, `loop` after 30 s without a step, or None when ready."""
        return self._missing if time.monotonic() - self._went_round < STALLED_AFTER_S else "loop"


@contextmanager
def probes(host: str, port: int, *, step_most_s: float = 0.0) -> Iterator[Health]:
    """Serve until the block ends. Port 0 takes a free one, which is logged. Raises CommandError: port taken."""
    health = Health(step_most_s=step_most_s)
    server = _server(host, port, health)
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
    observe.record_probes_open(port=server.server_port)
    try:
        yield health
    finally:
        server.shutdown()
        server.server_close()


def _server(host: str, port: int, health: Health) -> ThreadingHTTPServer:
    try:
        server = ThreadingHTTPServer((host, port), _handler_for(health))
    except OSError as error:
        told = "set RELAY_PORT or CONSUMER_PORT, or give --port; 0 takes a free one"
        raise CommandError(f"No probes on {host}:{port} ({error.strerror}): {told}.") from error
    server.daemon_threads = True
    return server


def _handler_for(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "usercenter"
        sys_version = ""

        def do_GET(self) -> None:
            status, form, body = _answer(self.path, health)
            self.send_response(status)
            self.send_header("Content-Type", form)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes come every few seconds: nothing to tell."""

    return Handler


def _answer(path: str, health: Health) -> tuple[int, str, bytes]:
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest()
    if path == "/healthz":
        return _state(None if health.is_alive else "loop")
    if path == "/readyz":
        return _state(health.missing)
    return 404, "application/problem+json", b'{"title": "Not found", "status": 404, "code": "not-found"}'


def _state(failing: str | None) -> tuple[int, str, bytes]:
    if failing is None:
        return 200, "application/json", b'{"status": "ok"}'
    return 503, "application/json", f'{{"status": "failing", "failing": ["{failing}"]}}'.encode()
