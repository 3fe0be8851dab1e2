"""Whether the brokers can be reached, step by step: part of the `doctor`.

The Kafka client tells one and the same thing of a broker that is down, of a certificate that has expired and of a wrong
password. So: TCP, then TLS by Python's own module, and only behind both of them is it the client's turn (`cluster`).
"""

import socket
import ssl
from collections.abc import Iterator

from events.conf import EventsSettings
from events.doctor.finding import Finding
from events.tls import context

_WITHIN_S = 3.0


def findings(settings: EventsSettings) -> Iterator[Finding]:
    """One for each broker of the settings, or one for all where our own certificates cannot be read."""
    try:
        tls = context(settings.tls_files) if settings.security_protocol.endswith("SSL") else None
    except OSError as error:
        remedy = "correct KAFKA_SSL_CAFILE, KAFKA_SSL_CERTFILE, KAFKA_SSL_KEYFILE: PEM files that this user may read"
        yield Finding("certificates", str(error), remedy)
        return
    for broker in settings.brokers:
        yield _reach(broker, tls)


def _reach(broker: str, tls: ssl.SSLContext | None) -> Finding:
    subject, (host, _, port) = f"way to {broker}", broker.rpartition(":")
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), _WITHIN_S)
    except OSError as error:
        return Finding(subject, f"TCP: {error}", "start the broker, correct KAFKA_BROKERS, or open the firewall")
    with connection:
        return _secure(subject, connection, tls, host) if tls else Finding(subject, "TCP")


def _secure(subject: str, plain: socket.socket, tls: ssl.SSLContext, host: str) -> Finding:
    try:
        with tls.wrap_socket(plain, server_hostname=host.strip("[]")) as secured:
            return Finding(subject, f"TCP, {secured.version()}")
    except ssl.SSLCertVerificationError as error:
        remedy = (
            "KAFKA_SSL_CAFILE must hold the CA of the broker's certificate, and that be valid now and for this name"
        )
        return Finding(subject, f"TLS: {error.verify_message}", remedy)
    except OSError as error:
        remedy = "is this the port of a TLS listener? correct KAFKA_BROKERS or KAFKA_SECURITY_PROTOCOL"
        return Finding(subject, f"TLS: {error}", remedy)
