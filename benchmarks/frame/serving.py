"""A process with probes, as relay and consumer have: started, waited for, and ended by SIGTERM."""

import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.frame.ground import Ground
from benchmarks.frame.waiting import wait_for
from devstack import ports

_READY_WITHIN_S = 30.0
_STOP_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Served:
    """The process and the port of its probes."""

    process: subprocess.Popen[str]
    port: int

    def wait_until_ready(self) -> None:
        """Raises ChildProcessError where it ends instead, and TimeoutError."""
        wait_for(self._is_ready, within_s=_READY_WITHIN_S)

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise ChildProcessError(f"{self.process.args!r} ended with {self.process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return True
        except OSError:  # 503, or not listening yet
            return False


@contextmanager
def serving(ground: Ground, *arguments: str) -> Iterator[Served]:
    """Start it, with `--port` and a port of its own; ended with the block. Raises ChildProcessError: not ended well."""
    port = ports.free()
    with started(ground, *arguments, "--port", str(port)) as process:
        yield Served(process, port)


@contextmanager
def started(ground: Ground, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start it; ended with the block. Raises ChildProcessError: not ended well."""
    process = ground.start(*arguments)
    try:
        yield process
        process.terminate()
        if code := process.wait(_STOP_WITHIN_S):
            raise ChildProcessError(f"{process.args!r} ended with {code}")
    finally:
        process.kill()
        process.wait()
