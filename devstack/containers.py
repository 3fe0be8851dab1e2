"""The parts as containers (STACK=containers), by testcontainers; between the given addresses and the embedded stack.

Mail is caught by the embedded catcher even then: it needs no engine.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from docker.errors import DockerException  # type: ignore[import-untyped]  # ships no types
from testcontainers.community.kafka import KafkaContainer
from testcontainers.community.postgres import PostgresContainer
from testcontainers.community.valkey import ValkeyContainer

from devstack.errors import DevstackError


@contextmanager
def in_containers(parts: list[str]) -> Iterator[dict[str, str]]:
    """The addresses of those of `parts` that come as containers, which live as long as the block."""
    with ExitStack() as until_the_end:
        environ: dict[str, str] = {}
        try:
            for part in _CONTAINERS.keys() & parts:
                environ |= until_the_end.enter_context(_CONTAINERS[part]())
        except DockerException as error:
            raise DevstackError(f"STACK=containers needs a container engine, and none answers: {error}") from error
        yield environ


@contextmanager
def _postgres() -> Iterator[dict[str, str]]:
    with PostgresContainer("postgres:18", driver=None, dbname="usercenter") as container:
        url = container.get_connection_url().replace("postgresql://", "postgres://")
        yield {"DATABASE_URL": url, "DATABASE_DIRECT_URL": url}


@contextmanager
def _kafka() -> Iterator[dict[str, str]]:
    container = KafkaContainer("confluentinc/cp-kafka:8.1.0").with_kraft()
    with container.with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false"):
        yield {"KAFKA_BROKERS": container.get_bootstrap_server()}


@contextmanager
def _valkey() -> Iterator[dict[str, str]]:
    with ValkeyContainer("valkey/valkey:9") as container:
        address = f"redis://{container.get_container_host_ip()}:{container.get_exposed_port()}"
        yield {"REDIS_URL": f"{address}/0", "CELERY_BROKER_URL": f"{address}/1"}


_CONTAINERS: dict[str, Callable[[], AbstractContextManager[dict[str, str]]]] = {
    "postgres": _postgres,
    "kafka": _kafka,
    "valkey": _valkey,
}
