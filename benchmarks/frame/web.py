"""The web process as an operator runs it: gunicorn with two workers, but for quotas that nobody comes up to.

Started by `serving_web` on a ground's parts; `call` is for what is set up before anything is timed.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from accounts.conf import THROTTLES
from benchmarks.frame.ground import Ground
from benchmarks.frame.http import Connection, body_of, request, status_of
from benchmarks.frame.serving import Served
from devstack import ports

API = "/api/v1/users"
WORKERS = 2

_STOP_WITHIN_S = 40.0
_SETTINGS = {
    "WEB_WORKERS": str(WORKERS),
    "THROTTLES": ",".join(f"{name}=999999999/60" for name in THROTTLES),
    "ACCESS_TTL_S": "86400",  # one sign-in is enough for a whole run
    "HTTPS_ONLY": "off",  # as behind a proxy that speaks https to the world
}


@contextmanager
def serving_web(ground: Ground, **settings: str) -> Iterator[int]:
    """The port of one that is ready; ended with the block. `settings` are of its environment.

    Raises ChildProcessError where it does not end well.
    """
    port = ports.free()
    there = Ground(dict(ground.environ) | _SETTINGS | settings | {"PORT": str(port)}, ground.brokers)
    process = there.start("-m", "gunicorn", "-c", "python:usercenter.gunicorn", "usercenter.wsgi")
    try:
        Served(process, port).wait_until_ready()
        yield port
        _end(process)
    finally:
        process.kill()
        process.wait()


def call(
    port: int, method: str, path: str, *, body: Mapping[str, Any] | None = None, token: str = ""
) -> Mapping[str, Any]:
    """One request on a connection of its own; gives the JSON of its answer. Raises ValueError for any but a 2xx."""
    with closing(Connection(port)) as connection:
        answer = connection.ask(request(method, path, body=body, token=token))
    if status_of(answer) // 100 != 2:  # noqa: PLR2004 - the class of successes
        raise ValueError(f"{method} {path}: {answer.decode()}")
    told: Mapping[str, Any] = json.loads(body_of(answer))
    return told


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    if code := process.wait(_STOP_WITHIN_S):
        raise ChildProcessError(f"gunicorn ended with {code}")
