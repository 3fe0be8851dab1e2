"""The settings of this app as one value, with all its problems at once.

Django's EVENTS setting is read here and nowhere else; commands build the value once and pass it on.
`checks.py` shows `problems()` as system checks; a project's entry points refuse to start with any.
"""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self
from urllib.parse import quote, urlencode

from django.conf import settings
from django.utils.module_loading import import_string

from events.routing import Routes
from events.tls import Files, faults

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
TLS_FILES = {
    "cafile": "a PEM file of certificates that this user may read",
    "certfile": "a PEM file of our certificate that this user may read",
    "keyfile": "a PEM file of that certificate's key, without a passphrase, that this user may read",
}
COMPRESSIONS = ("none", "gzip", "snappy", "lz4")
TOPIC_NAME_MOST = 249
PORT_MOST = 65_535
DEAD_LETTERS = ".dlq"
RETENTION_MARGIN_D = 7
RETENTION_MOST_D = 36_500
_MOST = {
    "relay_port": PORT_MOST,
    "consumer_port": PORT_MOST,
    "outbox_retention_d": RETENTION_MOST_D,
    "inbox_retention_d": RETENTION_MOST_D,
    "stop_within_s": 3600,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong setting: its name, what is allowed, and what stands there (secrets never)."""

    name: str
    allowed: str
    got: str

    def __str__(self) -> str:
        return f"{self.name}: must be {self.allowed}, got {self.got}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSettings:
    """All of EVENTS. Durations end in `_s` or `_ms`, sizes in `_bytes`."""

    routes: str
    source: str
    topics: Mapping[str, str]
    # What documents tell, where an installation may choose other names.
    default_topics: Mapping[str, str] | None = None
    brokers: tuple[str, ...] = ("localhost:9092",)
    group: str
    partitions: int = 3
    replication: int = 1
    topic_retention_d: int = 7
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = ""
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    ssl_cafile: str = ""
    ssl_certfile: str = ""
    ssl_keyfile: str = ""
    allow_insecure: bool = False
    producer_batch_messages: int = 100
    producer_batch_bytes: int = 1_000_000
    producer_linger_ms: int = 5
    producer_compression: str = "snappy"
    producer_idempotent: bool = True
    producer_retries: int = 3
    producer_retry_backoff_ms: int = 100
    producer_delivery_timeout_ms: int = 30_000
    consumer_from: str = "latest"
    consumer_session_timeout_ms: int = 10_000
    consumer_heartbeat_ms: int = 3_000
    consumer_commit_interval_ms: int = 1_000
    consumer_batch: int = 500
    probes_host: str = "127.0.0.1"
    # Django's own database, where EVENTS does not name it.
    database_direct_url: str = field(default="", repr=False)
    outbox_notify: bool = True
    outbox_retention_d: int = 30
    inbox_retention_d: int = 30
    outbox_window: int = 2_000
    relay_port: int = 9101
    consumer_port: int = 9102
    stop_within_s: int = 20

    @classmethod
    def current(cls) -> Self:
        """The value of Django's EVENTS. Raises TypeError for a name that is unknown or missing."""
        given = {name.lower(): value for name, value in settings.EVENTS.items()}
        if "database_direct_url" not in given:
            given["database_direct_url"] = _address(settings.DATABASES["default"])
        return cls(**given)

    @property
    def least_retention_d(self) -> int:
        """Whatever a topic still has, outbox and inbox must know, with a week to notice that something is missing."""
        return self.topic_retention_d + RETENTION_MARGIN_D

    @property
    def tls_files(self) -> Files:
        """What TLS to the brokers is made of."""
        return Files(self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile)

    @property
    def shows_password(self) -> bool:
        """Whether brokers are told the password unencrypted, which `allow_insecure` alone lets pass."""
        return self.security_protocol == "SASL_PLAINTEXT" and self.sasl_mechanism == "PLAIN"

    def topic_names(self) -> list[str]:
        """Every topic that is ours, each before its dead letters'."""
        return [name for topic in self.topics.values() for name in (topic, topic + DEAD_LETTERS)]

    def documented_topics(self) -> Mapping[str, str]:
        """Each topic's key and the name that it has unless an installation chooses another."""
        return {**self.topics, **(self.default_topics or {})}

    def problems(self) -> list[Problem]:
        """Everything that is wrong, in the order of the fields."""
        return [*self._wrong_routes(), *self._wrong_topics(), *self._wrong_kafka(), *self._wrong_numbers()]

    def load_routes(self) -> Routes:
        """The project's table. Raises ImportError."""
        routes = import_string(self.routes)
        if not isinstance(routes, Routes):
            raise ImportError(f"{self.routes} is a {type(routes).__name__}, not events.routing.Routes")
        return routes

    def _wrong_routes(self) -> Iterable[Problem]:
        try:
            yield from (Problem("EVENTS ROUTES", "a table without it", told) for told in self.load_routes().problems())
        except ImportError as error:
            yield Problem("EVENTS ROUTES", "the dotted path of an events.routing.Routes", str(error))

    def _wrong_topics(self) -> Iterable[Problem]:
        for key, name in self.topics.items():
            allowed = all(char.isascii() and (char.isalnum() or char in "._-") for char in name)
            if not name or not allowed or len(name) > TOPIC_NAME_MOST:
                yield Problem(f"KAFKA_TOPIC_{key.upper()}", "1 to 249 of A-Z a-z 0-9 . _ -", repr(name))
        if not self.group:
            yield Problem("KAFKA_GROUP_ID", "not empty", "''")
        if not self.source:
            yield Problem("EVENT_SOURCE", "not empty", "''")
        if not self.database_direct_url.startswith(("postgres://", "postgresql://")):
            yield Problem("DATABASE_DIRECT_URL", "postgres://USER:PASSWORD@HOST:PORT/NAME", "something else")

    def _wrong_kafka(self) -> Iterable[Problem]:
        yield from _wrong_brokers(self.brokers)
        yield from _not_one_of("KAFKA_SECURITY_PROTOCOL", self.security_protocol, PROTOCOLS)
        yield from _not_one_of("KAFKA_PRODUCER_COMPRESSION", self.producer_compression, COMPRESSIONS)
        yield from _not_one_of("KAFKA_CONSUMER_FROM", self.consumer_from, ("latest", "earliest"))
        yield from self._wrong_sasl()
        yield from self._wrong_tls()

    def _wrong_sasl(self) -> Iterable[Problem]:
        if self.security_protocol.startswith("SASL"):
            yield from _not_one_of("KAFKA_SASL_MECHANISM", self.sasl_mechanism, MECHANISMS)
            if not (self.sasl_username and self.sasl_password):
                yield Problem("KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD", "set for SASL", "one of them empty")
        elif self.sasl_mechanism or self.sasl_username or self.sasl_password:
            yield Problem("KAFKA_SECURITY_PROTOCOL", "SASL_SSL with SASL settings", repr(self.security_protocol))
        if self.shows_password and not self.allow_insecure:
            yield Problem(
                "KAFKA_SECURITY_PROTOCOL",
                "SASL_SSL with PLAIN (or KAFKA_ALLOW_INSECURE on)",
                "SASL_PLAINTEXT",
            )

    def _wrong_tls(self) -> Iterable[Problem]:
        if self.security_protocol.endswith("SSL"):
            for name, fault in faults(self.tls_files):
                yield Problem(f"KAFKA_SSL_{name.upper()}", TLS_FILES[name], fault)
        elif self.security_protocol in PROTOCOLS and any(self.tls_files):
            given = ", ".join(f"KAFKA_SSL_{name.upper()}" for name in TLS_FILES if getattr(self.tls_files, name))
            yield Problem("KAFKA_SECURITY_PROTOCOL", f"SSL or SASL_SSL with {given}", repr(self.security_protocol))

    def _wrong_numbers(self) -> Iterable[Problem]:
        zero_is_fine = {
            "producer_linger_ms", "producer_retries", "producer_retry_backoff_ms", "relay_port", "consumer_port",
        }  # fmt: skip
        for setting in fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, int) and not isinstance(value, bool):
                least, most = 0 if setting.name in zero_is_fine else 1, _MOST.get(setting.name)
                if value < least or (most and value > most):
                    allowed = f"{least} to {most}" if most else f"{least} or more"
                    yield Problem(_environment_name(setting.name), allowed, str(value))
        if self.consumer_heartbeat_ms * 3 > self.consumer_session_timeout_ms:
            allowed = "at most a third of KAFKA_CONSUMER_SESSION_TIMEOUT_MS"
            yield Problem("KAFKA_CONSUMER_HEARTBEAT_MS", allowed, str(self.consumer_heartbeat_ms))
        for name, days in (("OUTBOX", self.outbox_retention_d), ("INBOX", self.inbox_retention_d)):
            if days < self.least_retention_d:
                allowed = f"{self.least_retention_d} or more: a week longer than the topics keep theirs"
                yield Problem(f"{name}_RETENTION_D", allowed, str(days))


def _address(database: Mapping[str, Any]) -> str:
    """Of Django's own database; none of another kind. Parameters take a socket's folder for a host, too."""
    if "postg" not in database["ENGINE"]:
        return ""
    named = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    given = {name: database[key] for name, key in named.items() if database.get(key)}
    given |= {name: value for name, value in database.get("OPTIONS", {}).items() if name.startswith("ssl")}
    return f"postgresql:///{quote(str(database['NAME']), safe='')}?{urlencode(given, quote_via=quote)}"


def required_names() -> list[str]:
    """The names that EVENTS must have."""
    return [setting.name.upper() for setting in fields(EventsSettings) if setting.default is MISSING]


def _environment_name(name: str) -> str:
    # What people set: the Kafka ones carry the prefix, the others stand as they are.
    kafka = (
        "producer_",
        "consumer_batch",
        "consumer_s",
        "consumer_h",
        "consumer_c",
        "partitions",
        "replication",
    )
    return f"KAFKA_{name.upper()}" if name.startswith(kafka) else name.upper()


def _wrong_brokers(brokers: tuple[str, ...]) -> Iterable[Problem]:
    wrong = [broker for broker in brokers if not _is_address(broker)]
    if wrong or not brokers:
        yield Problem("KAFKA_BROKERS", "a comma list of host:port", repr(",".join(wrong)))


def _is_address(broker: str) -> bool:
    host, _, port = broker.rpartition(":")
    return bool(host) and is_port(port)


def is_port(text: str) -> bool:
    """Whether it is the number of a port that can be connected to."""
    return text.isascii() and text.isdigit() and len(text) <= len(str(PORT_MOST)) and 0 < int(text) <= PORT_MOST


def _not_one_of(name: str, value: Any, allowed: tuple[str, ...]) -> Iterable[Problem]:
    if value not in allowed:
        yield Problem(name, f"one of {', '.join(allowed)}", repr(value))
