"""The address of who asks: the connection's other end, or whom a trusted proxy speaks for."""

from collections.abc import Callable

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from accounts.api.client import address_of
from accounts.models.session import Client

PROXY, EDGE, CLIENT = "10.0.0.1", "203.0.113.7", "198.51.100.9"
TRUSTED = ("10.0.0.0/8", "203.0.113.7", "fd00::/8")

Asked = Callable[..., str | None]


@pytest.fixture
def asked(settings: Settings) -> Asked:
    """The address of a request from `peer` with these headers."""

    def address(peer: str, *, trusted: tuple[str, ...] = TRUSTED, **headers: str) -> str | None:
        settings.ACCOUNTS = {**settings.ACCOUNTS, "TRUSTED_PROXIES": trusted}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return address_of(RequestFactory().get("/", REMOTE_ADDR=peer, headers=named))

    return address


@pytest.mark.parametrize("peer", [CLIENT, PROXY, "127.0.0.1", "2001:db8::1"])
def test_by_default_nobody_speaks_for_another(asked: Asked, peer: str) -> None:
    assert asked(peer, trusted=(), X_Forwarded_For="1.2.3.4") == peer


def test_a_stranger_speaks_for_nobody(asked: Asked) -> None:
    assert asked(CLIENT, X_Forwarded_For="1.2.3.4") == CLIENT


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (CLIENT, CLIENT),
        (f"1.2.3.4, {CLIENT}", CLIENT),
        (f"1.2.3.4,{CLIENT}\t", CLIENT),
        (f"1.2.3.4, {CLIENT}, {EDGE}", CLIENT),
        (f"1.2.3.4, {CLIENT}, {EDGE}, 10.9.8.7", CLIENT),
        (f"{EDGE}, {CLIENT}", CLIENT),
        (f"garbage, , 1.2.3.4 5.6.7.8, {CLIENT}", CLIENT),
        ("2001:DB8:0::1", "2001:db8::1"),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"{CLIENT}, ::ffff:{EDGE}", CLIENT),
        (f"{CLIENT}, fd00::1", CLIENT),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_a_trusted_proxy_speaks_for_the_nearest_stranger(asked: Asked, forwarded: str, expected: str) -> None:
    assert asked(PROXY, X_Forwarded_For=forwarded) == expected


@pytest.mark.parametrize(
    "forwarded",
    [
        "", ",", f"{CLIENT},", "garbage", f"{CLIENT}, garbage", f"{CLIENT}, unknown", f"{CLIENT}, _hidden",
        f"{CLIENT}, garbage, {EDGE}", f"{CLIENT}:443", f"[{CLIENT}]", "[2001:db8::1]:443", "2001:db8::1::2", "1.2.3",
        "1.2.3.4.5", "01.2.3.4", "0x7f.1", "16909060", "1.2.3.256", "\uff11.2.3.4", f'"{CLIENT}"', f"for={CLIENT}",
        "1.2.3.4/32", f"{CLIENT}\x00", f"{CLIENT};{CLIENT}", EDGE, f"{EDGE}, 10.9.8.7", "1" * 8000, "," * 8000,
    ],
)  # fmt: skip
def test_what_cannot_be_read_or_names_proxies_alone_leaves_the_peer(asked: Asked, forwarded: str) -> None:
    assert asked(PROXY, X_Forwarded_For=forwarded) == PROXY


@pytest.mark.parametrize("header", ["Forwarded", "X_Real_IP", "X_Client_IP", "CF_Connecting_IP", "True_Client_IP"])
def test_no_other_header_has_a_say(asked: Asked, header: str) -> None:
    assert asked(PROXY, **{header: f"for={CLIENT}" if header == "Forwarded" else CLIENT}) == PROXY


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("", None),
        ("/run/usercenter.sock", None),
        (f"::ffff:{CLIENT}", CLIENT),
        ("fe80::1%eth0", "fe80::1"),
        (f"::ffff:{PROXY}", "1.2.3.4"),
        ("fd00::1", "1.2.3.4"),
        (EDGE, "1.2.3.4"),
    ],
)
def test_a_peer_is_known_in_any_clothes(asked: Asked, peer: str, expected: str | None) -> None:
    assert asked(peer, X_Forwarded_For="1.2.3.4") == expected


@pytest.mark.parametrize(
    ("ip", "counted"),
    [
        (None, ""),
        (CLIENT, CLIENT),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
    ],
)
def test_an_address_is_counted_whole_or_by_what_one_host_has(ip: str | None, counted: str) -> None:
    assert Client(device="", ip=ip).counted == counted
