"""The doctor's way to a broker: does it end at TCP, TLS or Kafka itself? Listeners of our own play the broker."""

from dataclasses import replace
from pathlib import Path

import pytest

from events.conf import EventsSettings
from events.doctor import cluster
from events.doctor.finding import Finding
from tests.integration.listening import certificate, listening, tls

CERTIFICATE_REMEDY = (
    "KAFKA_SSL_CAFILE must hold the CA of the broker's certificate, and that be valid now and for this name"
)
PORT_REMEDY = "is this the port of a TLS listener? correct KAFKA_BROKERS or KAFKA_SECURITY_PROTOCOL"


def look(address: str, *, protocol: str = "SASL_SSL", cafile: Path | None = None) -> list[Finding]:
    settings = replace(
        EventsSettings.current(), brokers=(address,), security_protocol=protocol, ssl_cafile=str(cafile or ""),
        sasl_mechanism="SCRAM-SHA-512", sasl_username="ann", sasl_password="secret",
    )  # fmt: skip
    return list(cluster.findings(settings))


def test_where_nobody_listens_it_ends_at_tcp() -> None:
    [finding] = look("127.0.0.1:1")
    assert finding.found == "TCP: [Errno 111] Connection refused"
    assert finding.remedy == "start the broker, correct KAFKA_BROKERS, or open the firewall"


def test_a_port_that_speaks_no_tls_is_told() -> None:
    with listening(lambda client: client.sendall(b"\0\0\0\4nope")) as address:
        [finding] = look(address)
    assert finding.found.startswith("TLS: [SSL: ")
    assert finding.remedy == PORT_REMEDY


@pytest.mark.parametrize(
    ("name", "days", "is_known", "told"),
    [
        ("127.0.0.1", 1, False, "TLS: self-signed certificate"),
        ("127.0.0.1", -1, True, "TLS: certificate has expired"),
        ("10.1.1.1", 1, True, "TLS: IP address mismatch, certificate is not valid for '127.0.0.1'."),
    ],
)
def test_a_certificate_that_does_not_hold_is_told(
    tmp_path: Path, name: str, days: int, is_known: bool, told: str  # noqa: FBT001 - a table
) -> None:  # fmt: skip
    file = certificate(tmp_path, name=name, days=days)
    with listening(tls(file)) as address:
        [finding] = look(address, cafile=file if is_known else None)
    assert (finding.found, finding.remedy) == (told, CERTIFICATE_REMEDY)


def test_behind_tcp_and_tls_it_is_probably_the_credentials(tmp_path: Path) -> None:
    file = certificate(tmp_path)
    with listening(tls(file)) as address:
        way, kafka = look(address, cafile=file)
    assert (way.found, way.remedy) == ("TCP, TLSv1.3", "")
    assert kafka.found.startswith("BrokersAway: ")
    assert kafka.remedy == (
        "probably credentials: KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD"
    )  # fmt: skip


def test_our_own_certificates_are_looked_at_first(tmp_path: Path) -> None:
    [finding] = look("127.0.0.1:1", cafile=tmp_path / "missing.pem")
    assert (finding.subject, finding.found) == ("certificates", "[Errno 2] No such file or directory")
    assert finding.remedy.startswith("correct KAFKA_SSL_CAFILE")
