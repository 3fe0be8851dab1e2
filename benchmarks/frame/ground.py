"""The ground that a run stands on: parts of its own, the application's settings as in production, databases, topics.

First of all in a run; every process that is measured gets its environment from here.
"""

import base64
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from psycopg import sql

from devstack import stack

CHECKOUT = Path(__file__).parents[2]

_TOPIC = "KAFKA_TOPIC_USER_EVENTS"


@dataclass(frozen=True, slots=True)
class Ground:
    """Settings of the application, on a database of its own; `brokers` is Kafka's address."""

    environ: Mapping[str, str]
    brokers: str

    @property
    def dsn(self) -> str:
        """Of the database."""
        return self.environ["DATABASE_URL"]

    @property
    def topic(self) -> str:
        """The one that the relay writes and the consumer reads."""
        return self.environ[_TOPIC]

    def start(self, *arguments: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start a Python process of this checkout."""
        command = [sys.executable, *arguments]
        return subprocess.Popen(command, cwd=CHECKOUT, env=dict(self.environ), stdout=stdout, text=True)

    def run(self, *arguments: str) -> str:
        """The same, to its end; gives what it printed. Raises CalledProcessError."""
        with self.start(*arguments, stdout=subprocess.PIPE) as process:
            told, _ = process.communicate()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, arguments)
        return told

    def start_in_django(self, module: str, *arguments: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start a module of `benchmarks` as a process of the application."""
        return self.start("-m", "benchmarks.frame.in_django", module, *arguments, stdout=stdout)

    def run_in_django(self, module: str, *arguments: str) -> str:
        """The same, to its end; gives what it printed. Raises CalledProcessError."""
        return self.run("-m", "benchmarks.frame.in_django", module, *arguments)

    def on_topic(self, topic: str) -> "Ground":
        """The same with another topic, created here."""
        there = Ground(dict(self.environ) | {_TOPIC: topic}, self.brokers)
        there.run("manage.py", "kafka", "topics", "create")
        return there

    def copy(self, name: str) -> "Ground":
        """The same on another database, a copy of this one, to which nobody may be connected."""
        there = urlsplit(self.dsn)
        with psycopg.connect(urlunsplit(there._replace(path="/postgres")), autocommit=True) as session:
            session.execute(
                sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(there.path[1:]))
            )
        url = urlunsplit(there._replace(path=f"/{name}"))
        return Ground(dict(self.environ) | {"DATABASE_URL": url, "DATABASE_DIRECT_URL": url}, self.brokers)


@contextmanager
def ground(name: str, *, topic: str, partitions: int) -> Iterator[Ground]:
    """Parts of this run's own, ended and removed with the block."""
    with stack(name, fresh=True, given={}) as parts:
        laid = Ground(_settings(partitions) | parts.environ, parts.environ["KAFKA_BROKERS"])
        laid.run("manage.py", "migrate", "--no-input", "--verbosity", "0")
        yield laid.on_topic(topic)


def _settings(partitions: int) -> dict[str, str]:
    """As in production: with DEBUG on, Django would keep every statement in memory."""
    return {
        "SECRET_KEY": secrets.token_urlsafe(64),
        "JWT_SIGNING_KEYS": _signing_key(),
        "ALLOWED_HOSTS": "localhost",
        "PUBLIC_URL": "https://benchmark.example",
        "KAFKA_PARTITIONS": str(partitions),
    }


def _signing_key() -> str:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(pem).decode()
