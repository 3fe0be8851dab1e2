"""Relay and consumer beside a web process, for the mails that follow from events."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.places import CHECKOUT
from tests.acceptance.web import Web


@dataclass(frozen=True)
class Streaming:
    """What the two say."""

    logs: tuple[Path, Path]

    def said(self, text: str) -> bool:
        return any(text in log.read_text() for log in self.logs)


@contextmanager
def streaming_of(web: Web, given: dict[str, str], folder: Path) -> Iterator[Streaming]:
    """Both until the block ends; `given` are the addresses of the parts, which they reach by no proxy."""
    environ = {
        **web.environ, **given, "DATABASE_URL": web.dsn, "DATABASE_DIRECT_URL": web.dsn,
        "CELERY_BROKER_URL": given["REDIS_URL"],
        "KAFKA_CONSUMER_FROM": "earliest", "RELAY_PORT": "0", "CONSUMER_PORT": "0",
    }  # fmt: skip
    manage = [sys.executable, "manage.py"]
    topics = [*manage, "kafka", "topics", "create"]
    subprocess.run(topics, cwd=CHECKOUT, env=environ, capture_output=True, timeout=60, check=True)
    logs = folder / "relay_outbox", folder / "consume_events"
    with ExitStack() as until_the_end:
        for command, log in ((log.name, log) for log in logs):
            with log.open("wb") as out:
                process = subprocess.Popen(
                    [*manage, command], cwd=CHECKOUT, env=environ, stdout=out, stderr=subprocess.STDOUT
                )
            until_the_end.callback(process.wait, 30)
            until_the_end.callback(process.terminate)
        yield Streaming(logs)
