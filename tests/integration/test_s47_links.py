"""S47: the way to Kafka is never weaker than asked for, and who is not the broker gets no password."""

import contextlib
import gc
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from devstack import Stack
from events.conf import EventsSettings
from events.kafka import Admin, BrokersAway
from tests.integration.listening import certificate, listening, tls
from tests.integration.relaying import CHECKOUT
from tests.waiting import wait_for

USER, PASSWORD = "CANARY-ann", "CANARY-pw-4711"
SASL: dict[str, Any] = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": USER, "sasl_password": PASSWORD}
PROTOCOL, MECHANISM = "KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM"
# What Django's connection is made with, in the web process and in the others, and what PostgreSQL then says.
CONNECTED = """
import json, sys
if sys.argv[1:] == ["web"]:
    import usercenter.gunicorn
import django
django.setup()
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("select array[" + ", ".join(
        f"current_setting('{name}')" for name in ("application_name", "statement_timeout", "lock_timeout")) + "]")
    [[shown]] = cursor.fetchall()
print(json.dumps([connection.settings_dict["OPTIONS"], shown]))
connection.close_pool()
"""
CREDENTIALS = "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD"


@pytest.fixture(autouse=True, scope="module")
def _sockets_of_the_client() -> Iterator[None]:
    """kafka-python leaves them to the garbage collector: here that is ignored, but not where Hypothesis looks on."""
    yield
    gc.collect()


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
        ({"ssl_cafile": "ca.pem"}, [PROTOCOL]),
        ({"security_protocol": "SASL_PLAINTEXT", **SASL, "ssl_certfile": "our.pem"}, [PROTOCOL]),
        ({"ssl_keyfile": "key.pem"}, [PROTOCOL]),
    ],
)
def test_a_way_that_is_weaker_than_it_looks_is_refused(changes: dict[str, Any], wrong: list[str]) -> None:
    problems = replace(EventsSettings.current(), **changes).problems()

    assert [problem.name for problem in problems] == wrong
    assert not [problem for problem in problems if PASSWORD in str(problem)]


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
@pytest.mark.parametrize(
    ("cafile", "certfile", "keyfile", "wrong"),
    [
        ("both", "both", "", []),
        ("certificate", "certificate", "key", []),
        ("missing", "", "", ["CAFILE"]),
        ("empty", "", "", ["CAFILE"]),
        ("key", "", "", ["CAFILE"]),
        (".", "", "", ["CAFILE"]),
        ("", "missing", "key", ["CERTFILE"]),
        ("", "key", "certificate", ["CERTFILE"]),
        ("", "", "key", ["CERTFILE"]),
        ("", "certificate", "", ["KEYFILE"]),
        ("", "certificate", "missing", ["KEYFILE"]),
        ("", "certificate", "another", ["KEYFILE"]),
        ("", "certificate", "locked", ["KEYFILE"]),
        ("missing", "empty", "", ["CAFILE", "CERTFILE"]),
    ],
)
def test_a_file_that_is_no_use_is_told_by_its_settings_name(  # noqa: PLR0913, PLR0917 - a table
    tmp_path: Path, protocol: str, cafile: str, certfile: str, keyfile: str, wrong: list[str]
) -> None:
    files_of_a_broker(tmp_path)
    given = {"ssl_cafile": cafile, "ssl_certfile": certfile, "ssl_keyfile": keyfile}
    changes: dict[str, Any] = {name: str(tmp_path / file) if file else "" for name, file in given.items()}
    changes |= SASL if protocol.startswith("SASL") else {}

    problems = replace(EventsSettings.current(), security_protocol=protocol, **changes).problems()

    assert [problem.name for problem in problems] == [f"KAFKA_SSL_{name}" for name in wrong]


def files_of_a_broker(folder: Path) -> None:
    """A certificate and its key, together and apart; another key, and the right one under a passphrase."""
    (folder / "other").mkdir()
    certificate(folder / "other").rename(folder / "another")
    both = certificate(folder).rename(folder / "both").read_bytes()
    key, begin, rest = both.partition(b"-----BEGIN CERTIFICATE")
    locked = load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    for name, content in {"key": key, "certificate": begin + rest, "locked": locked, "empty": b""}.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("command", ["relay_outbox", "consume_events"])
def test_a_password_that_goes_in_the_clear_is_told_at_the_start(tmp_path: Path, command: str) -> None:
    given = {
        "KAFKA_BROKERS": "127.0.0.1:1", "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": USER, "KAFKA_SASL_PASSWORD": PASSWORD, "KAFKA_ALLOW_INSECURE": "on",
    }  # fmt: skip
    said = tmp_path / "said"
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", command, "--port", "0"], cwd=CHECKOUT, env=os.environ | given, stdout=out
        )
    try:
        wait_for(lambda: '"probes open"' in said.read_text())
    finally:
        process.kill()
        process.wait()

    [line] = [line for line in said.read_text().splitlines() if "unencrypted" in line]
    told = json.loads(line)
    assert (told["level"], told["event"]) == ("WARNING", "password goes to kafka unencrypted")
    assert "CANARY" not in said.read_text()


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


def connected(parts: Stack, query: str, *processes: str) -> subprocess.CompletedProcess[str]:
    given = os.environ | {"DJANGO_SETTINGS_MODULE": "usercenter.settings"}
    given["DATABASE_URL"] = f"{parts.environ['DATABASE_URL']}?{query}"
    command = [sys.executable, "-c", CONNECTED, *processes]
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("process", ["web", "worker"])
def test_what_the_databases_address_asks_for_holds_beside_our_own(parts: Stack, process: str) -> None:
    query = "application_name=told&sslmode=prefer&sslrootcert=/ca.pem&target_session_attrs=any&connect_timeout=4"

    ended = connected(parts, f"{query}&options=-c%20statement_timeout%3D7s", process)

    assert ended.returncode == 0, ended.stderr
    options, shown = json.loads(ended.stdout)
    assert shown == ["told", "7s", "15s"]
    assert {"sslmode": "prefer", "sslrootcert": "/ca.pem", "target_session_attrs": "any"}.items() <= options.items()
    assert (options["connect_timeout"], options["keepalives_idle"]) == (4, 5)
    assert ("pool" in options) is (process == "web")


def test_a_database_without_tls_is_not_spoken_to_where_the_address_asks_for_it(parts: Stack) -> None:
    ended = connected(parts, "sslmode=require")

    assert ended.returncode == 1
    assert "OperationalError" in ended.stderr
    assert "SSL" in ended.stderr
