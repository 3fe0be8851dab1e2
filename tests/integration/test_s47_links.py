"""S47: the way to Kafka is never weaker than asked for, and who is not the broker gets no password."""

import contextlib
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from events.conf import EventsSettings
from events.kafka import Admin, BrokersAway
from tests.integration.listening import certificate, listening, tls

USER, PASSWORD = "CANARY-ann", "CANARY-pw-4711"
SASL: dict[str, Any] = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": USER, "sasl_password": PASSWORD}
PROTOCOL, MECHANISM = "KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM"
CREDENTIALS = "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD"


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, []),
        ({"security_protocol": "SSL"}, []),
        ({"security_protocol": "SASL_SSL", **SASL}, []),
        ({"security_protocol": "SASL_PLAINTEXT", **SASL}, []),
        ({"security_protocol": "SASL_SSL", **SASL, "sasl_mechanism": "PLAIN"}, []),
        ({"security_protocol": "SASL_PLAINTEXT", **SASL, "sasl_mechanism": "PLAIN"}, [PROTOCOL]),
        ({"security_protocol": "SASL_PLAINTEXT", **SASL, "sasl_mechanism": "PLAIN", "allow_insecure": True}, []),
        (SASL, [PROTOCOL]),
        ({"security_protocol": "SSL", **SASL}, [PROTOCOL]),
        ({"security_protocol": "SASL_SSL", **SASL, "sasl_mechanism": ""}, [MECHANISM]),
        ({"security_protocol": "SASL_SSL", **SASL, "sasl_mechanism": "SCRAM-MD5"}, [MECHANISM]),
        ({"security_protocol": "SASL_SSL", **SASL, "sasl_password": ""}, [CREDENTIALS]),
        ({"security_protocol": "TLS"}, [PROTOCOL]),
        ({"security_protocol": "ssl"}, [PROTOCOL]),
    ],
)
def test_a_way_that_is_weaker_than_it_looks_is_refused(changes: dict[str, Any], wrong: list[str]) -> None:
    problems = replace(EventsSettings.current(), **changes).problems()

    assert [problem.name for problem in problems] == wrong
    assert not [problem for problem in problems if PASSWORD in str(problem)]


def impostor(heard: list[bytes], file: Path | None) -> Callable[[socket.socket], None]:
    """Notes that somebody came, and what they said; with TLS by this certificate, or without."""

    def in_the_clear(client: socket.socket) -> None:
        heard.append(client.recv(65_536))
        client.sendall(b"\0\0\0\4\0\0\0\0")

    answer = tls(file, heard.append) if file else in_the_clear

    def greet(client: socket.socket) -> None:
        heard.append(b"")
        answer(client)

    return greet


def test_who_is_not_the_broker_hears_no_password(tmp_path: Path) -> None:
    """Of a foreign CA, of another name, and without TLS."""
    known, foreign = tmp_path / "known", tmp_path / "foreign"
    known.mkdir()
    foreign.mkdir()
    elsewhere = certificate(known, name="10.1.1.1")
    heard: list[list[bytes]] = [[], [], []]
    with contextlib.ExitStack() as until_the_end:
        addresses = tuple(
            until_the_end.enter_context(listening(impostor(said, file)))
            for said, file in zip(heard, (certificate(foreign), elsewhere, None), strict=True)
        )
        settings = replace(
            EventsSettings.current(),
            brokers=addresses, security_protocol="SASL_SSL", ssl_cafile=str(elsewhere), **SASL,
        )  # fmt: skip
        with pytest.raises(BrokersAway):
            Admin(settings)

    assert all(said for said in heard)
    assert USER.encode() not in b"".join(map(b"".join, heard))
    assert not any(b"".join(said) for said in heard[:2])
    # What is said in the clear is a greeting that offers TLS 1.3 and 1.2 alone (RFC 8446, 4.2.1).
    assert bytes.fromhex("002b 0005 04 0304 0303") in b"".join(heard[2])
