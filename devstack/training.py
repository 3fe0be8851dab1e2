"""The JVM's start-up cache: a throwaway broker's loaded classes are kept, so that later ones start in half the time.

Comes after `jars`, under its lock. Safe to fail: without a cache everything starts, only slower.
"""

import signal
import subprocess
import tempfile
import time
from pathlib import Path

from devstack import ports
from devstack.java import AOT_CACHE, java
from devstack.parts.kafka import Kafka

_LIMIT_S = 60.0


def train_once(home: Path) -> None:
    """Make the cache, unless that has been tried before."""
    log = home / "training.log"
    if not log.exists():
        print("preparing fast starts of the broker (once for this user)", flush=True)
        log.touch()
        _train(home, log)


def _train(home: Path, log: Path) -> None:
    unfinished = home / "unfinished.aot"
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="building-") as folder, log.open("wb") as output:
        broker = Kafka(Path(folder), ports.choose(4, rather=[]))
        broker.configure()
        subprocess.run(broker.format_argv, stdout=output, stderr=output, check=False)
        command = java("kafka.Kafka", str(broker.properties), jvm=[f"-XX:AOTCacheOutput={unfinished}"])
        with subprocess.Popen(command, stdout=output, stderr=output) as process:
            _wait_for(broker.ready_line, log=log, process=process)
            process.send_signal(signal.SIGTERM)
    if unfinished.exists():
        unfinished.rename(home / AOT_CACHE)


def _wait_for(line: bytes, *, log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while line not in log.read_bytes() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
