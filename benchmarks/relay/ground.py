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
PARTITIONS = 12
TOPIC = "benchmark.relay"


@dataclass(frozen=True, slots=True)
class Ground:
    """Settings of the application, on a database of its own; `brokers` is Kafka's address."""

    environ: Mapping[str, str]
    brokers: str

    @property
    def dsn(self) -> str:
        """Of the database."""
        return self.environ["DATABASE_URL"]

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
def ground(name: str) -> Iterator[Ground]:
    """Parts of this run's own, ended and removed with the block."""
    with stack(name, fresh=True, given={}) as parts:
        laid = Ground(_settings() | parts.environ, parts.environ["KAFKA_BROKERS"])
        laid.run("manage.py", "migrate", "--no-input", "--verbosity", "0")
        laid.run("manage.py", "kafka", "topics", "create")
        yield laid


def _settings() -> dict[str, str]:
    """As in production: with DEBUG on, Django would keep every statement in memory."""
    return {
        "SECRET_KEY": secrets.token_urlsafe(64),
        "JWT_SIGNING_KEYS": _signing_key(),
        "ALLOWED_HOSTS": "localhost",
        "PUBLIC_URL": "https://benchmark.example",
        "KAFKA_TOPIC_USER_EVENTS": TOPIC,
        "KAFKA_PARTITIONS": str(PARTITIONS),
    }


def _signing_key() -> str:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(pem).decode()
