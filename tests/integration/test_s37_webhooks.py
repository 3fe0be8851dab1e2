"""S37: no URL leads a webhook inside, and no receiver holds it for long or makes it read much."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pytest_django import Settings
from uuid_utils.compat import uuid7

from accounts.event_types import UserChanges, UserUpdated
from accounts.models import OutsideCall
from accounts.outside import attempts
from accounts.outside.posting import AddressRefused, NoAnswer, Poster, Resolver, TookTooLong, resolved_by_system
from accounts.receivers import Address, Receiver
from events.testing import deliver
from tests.integration.mailing import registered_user
from tests.integration.receiving import receiver
from tests.waiting import LIMIT_S, wait_for

PUBLIC = ip_address("93.184.216.34")
LOOPBACK = ip_address("127.0.0.1")
NAME = "hooks.example"  # which no resolver knows (RFC 6761)


class Names:
    """A name service that gives this answer first and that one ever after, as one does that rebinds."""

    def __init__(self, first: list[Address], later: list[Address] | None = None) -> None:
        self.asked: list[tuple[str, int]] = []
        self._first, self._later = first, first if later is None else later

    def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append((host, port))
        return self._first if len(self.asked) == 1 else self._later


def poster(
    resolve: Resolver, *, allow_private: bool = True, within_s: float = 30, tls: ssl.SSLContext | None = None
) -> Poster:
    tls = tls or ssl.create_default_context()
    return Poster(resolve=resolve, tls=tls, allow_private=allow_private, within_s=within_s)


def at(host: str, port: int, *, scheme: str = "http", target: str = "/") -> Receiver:
    """Past all that is judged by the URL's form: what is left are the addresses."""
    return Receiver(scheme=scheme, host=host, port=port, target=target)


# private addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "0", "0.0.0.0", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "localhost",  # noqa: S104 - asked for, not bound to
        "10.0.0.1", "10.1", "100.64.0.1", "169.254.169.254", "172.16.0.1", "192.168.1.1", "198.18.0.1",
        "224.0.0.1", "255.255.255.255", "::1", "::", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1",
        "64:ff9b::a00:1", "fc00::1", "fd00:ec2::254", "fe80::1", "ff02::1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused_in_whatever_form(host: str) -> None:
    with receiver() as canary, pytest.raises(AddressRefused):
        poster(resolved_by_system, allow_private=False).post(at(host, canary.port), {}, b"{}")

    assert canary.arrived == []


@pytest.mark.parametrize("name", ["localtest.me", "metadata.google.internal"])
@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["169.254.169.254"], ["93.184.216.34", "127.0.0.1"], ["127.0.0.1", "93.184.216.34"], ["::1"]],
    ids=" ".join,
)
def test_a_name_that_leads_inside_is_refused_be_it_by_one_of_its_addresses(name: str, addresses: list[str]) -> None:
    names = Names([ip_address(address) for address in addresses])

    with receiver() as canary, pytest.raises(AddressRefused):
        poster(names, allow_private=False).post(at(name, canary.port), {}, b"{}")

    assert canary.arrived == []


def test_the_name_is_resolved_once_and_the_very_address_connected_to() -> None:
    with receiver() as one:
        names = Names([LOOPBACK], later=[PUBLIC])

        assert poster(names).post(at(NAME, one.port, target="/a?b=c"), {}, b"{}") == 204

    [arrived] = one.arrived
    assert names.asked == [(NAME, one.port)]
    assert (arrived.path, arrived.headers["Host"]) == ("/a?b=c", f"{NAME}:{one.port}")


def test_of_several_addresses_one_where_nobody_listens_is_followed_by_the_next() -> None:
    with receiver() as one:
        assert poster(Names([ip_address("::1"), LOOPBACK])).post(at(NAME, one.port), {}, b"{}") == 204


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as proxy, receiver() as one:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

        assert poster(resolved_by_system).post(at("127.0.0.1", one.port), {}, b"{}") == 204

        assert (len(one.arrived), proxy.arrived) == (1, [])


@pytest.mark.django_db
def test_private_addresses_are_refused_unless_a_setting_says_otherwise(settings: Settings) -> None:
    hooks = {
        "WEBHOOK_URLS": ("http://localhost:8080/",), "WEBHOOK_SECRET": "whsec_" + 32 * "A", "WEBHOOK_ALLOW_HTTP": True,
    }  # fmt: skip
    settings.ACCOUNTS = {**settings.ACCOUNTS, **hooks}
    at_nine = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    changes = UserChanges(display_name="Ann")
    deliver(UserUpdated(user_id=registered_user().id, version=2, changes=changes, at=at_nine))

    attempts.sweep_webhooks()

    call = OutsideCall.objects.get(kind="webhook")
    assert (call.attempts, call.error) == (1, "leads to an address that is not public")


# TLS ----------------------------------------------------------------------------------------------------------


class Certified:
    """A certificate for these names by an authority of this test's own, and contexts for both sides."""

    def __init__(self, folder: Path, *names: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's own authority")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(uuid7().int >> 1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        file = folder / "certificate.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.asked_for: list[str | None] = []
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(file)
        self.server.sni_callback = lambda _sock, name, _context: self.asked_for.append(name)
        self.client = ssl.create_default_context(cafile=str(file))


def test_tls_asks_for_the_name_and_the_certificate_must_be_good_for_it(tmp_path: Path) -> None:
    certified = Certified(tmp_path, NAME)
    with receiver(tls=certified.server) as one:
        sender = poster(Names([LOOPBACK]), tls=certified.client)

        assert sender.post(at(NAME, one.port, scheme="https"), {}, b"{}") == 204
        with pytest.raises(NoAnswer, match=r"^SSLCertVerificationError$"):
            sender.post(at("another.example", one.port, scheme="https"), {}, b"{}")

    assert certified.asked_for == [NAME, "another.example"]
    assert [arrived.headers["Host"] for arrived in one.arrived] == [f"{NAME}:{one.port}"]


def test_a_certificate_of_an_authority_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    certified = Certified(tmp_path, NAME)
    with receiver(tls=certified.server) as one, pytest.raises(NoAnswer, match=r"^SSLCertVerificationError$"):
        poster(Names([LOOPBACK])).post(at(NAME, one.port, scheme="https"), {}, b"{}")

    assert one.arrived == []


# how long, how much -------------------------------------------------------------------------------------------

Says = Callable[[socket.socket, threading.Event], None]


@contextmanager
def raw_server(says: Says) -> Iterator[int]:
    """A server's port; `says` has its first connection until the event."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(LIMIT_S)

        def serve() -> None:
            with suppress(OSError):  # nobody came before it was over, or somebody left
                connection, _ = listening.accept()
                with connection:
                    says(connection, over)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def hang(_connection: socket.socket, over: threading.Event) -> None:
    over.wait(LIMIT_S)


def drip(connection: socket.socket, over: threading.Event) -> None:
    """A byte in no time at all, for ever: no single one is late."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    send_until_it_fails(connection, over, b"x", every_s=0.05)


def send_until_it_fails(connection: socket.socket, over: threading.Event, more: bytes, every_s: float = 0) -> None:
    try:
        while not over.wait(every_s):
            connection.sendall(more)
    except OSError:
        pass


@pytest.mark.parametrize("says", [hang, drip])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_who_takes_too_long_is_left_whatever_drips(says: Says, scheme: str) -> None:
    # What drips is no TLS, which is seen at once.
    expected, within_s = (NoAnswer, LIMIT_S) if (says, scheme) == (drip, "https") else (TookTooLong, 0.5)
    with raw_server(says) as port, pytest.raises(expected):
        poster(resolved_by_system, within_s=within_s).post(at("127.0.0.1", port, scheme=scheme), {}, b"{}")


def test_a_name_service_that_hangs_is_left_too() -> None:
    over = threading.Event()

    def resolve(_host: str, _port: int) -> list[Address]:
        over.wait(LIMIT_S)
        return [LOOPBACK]

    try:
        with pytest.raises(TookTooLong):
            poster(resolve, within_s=0.2).post(at(NAME, 80), {}, b"{}")
    finally:
        over.set()


def test_a_long_body_is_not_read() -> None:
    stopped = threading.Event()

    def says(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        send_until_it_fails(connection, over, bytes(64 * 1024))
        if not over.is_set():
            stopped.set()

    with raw_server(says) as port:
        assert poster(resolved_by_system).post(at("127.0.0.1", port), {}, b"{}") == 200
        wait_for(stopped.is_set)


@pytest.mark.parametrize("line", [b"X-More: " + 1_000 * b"x" + b"\r\n", b"x"], ids=["many lines", "one line"])
def test_an_answer_whose_head_has_no_end_is_no_answer(line: bytes) -> None:
    def says(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        send_until_it_fails(connection, over, line)

    with raw_server(says) as port, pytest.raises(NoAnswer, match=r"^(AnswerTooLong|LineTooLong)$"):
        poster(resolved_by_system).post(at("127.0.0.1", port), {}, b"{}")


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n"])
def test_what_is_no_http_is_no_answer(answer: bytes) -> None:
    def says(connection: socket.socket, _over: threading.Event) -> None:
        connection.recv(65_536)
        connection.sendall(answer)

    with raw_server(says) as port, pytest.raises(NoAnswer):
        poster(resolved_by_system).post(at("127.0.0.1", port), {}, b"{}")
