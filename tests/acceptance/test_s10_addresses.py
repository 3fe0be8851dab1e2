"""S10: a client's address is the connection's other end, and nobody's headers make it another but a trusted proxy's."""

import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.acceptance.serving import RAISED, serving
from tests.acceptance.web import LOGIN, ME, PASSWORD, REGISTER, Answer, Call, Web

pytestmark = pytest.mark.django_db

PEER = "127.0.0.1"
LIMIT, FEW = 100, 3
HTTPS = {"X-Forwarded-Proto": "https"}
# Where both kinds are served by one socket, an IPv4 peer comes in IPv6 clothes.
BOTH_KINDS = "::" if socket.has_dualstack_ipv6() else PEER


@pytest.fixture(scope="module")
def alone(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Trusts no proxy."""
    with serving(tmp_path_factory.mktemp("alone") / "log", THROTTLES=f"{RAISED},login-address={LIMIT}/900") as web:
        yield web


@pytest.fixture(scope="module")
def behind(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Trusts its peer, and proxies in front of that."""
    settings = {
        "THROTTLES": f"{RAISED},login-address={FEW}/900",
        "TRUSTED_PROXIES": "127.0.0.0/8,10.0.0.0/8",
        "HTTPS_ONLY": "on",
        "BIND": BOTH_KINDS,
    }
    with serving(tmp_path_factory.mktemp("behind") / "log", **settings) as web:
        yield web


def new_session_of(web: Web, headers: dict[str, str]) -> str:
    """Register with these headers; the address that the session has."""
    name = f"u{uuid4().hex[:12]}"
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    [answer] = web.race([Call("POST", REGISTER, body, headers)])
    assert answer.status == 201, answer.body
    [(ip,)] = web.sql("select host(ip) from accounts_session where id = %s", answer.json["session_id"])
    return str(ip)


def failing(headers: dict[str, str]) -> Call:
    """A login that is wrong by a name of its own: only the address is the same."""
    return Call("POST", LOGIN, {"identifier": f"u{uuid4().hex[:12]}", "password": "wrong"}, headers)


def failed_from(web: Web, forwarded: list[str]) -> list[Answer]:
    """One after the other, since what is looked at is which of them is refused."""
    return [web.race([failing(HTTPS | {"X-Forwarded-For": entry})])[0] for entry in forwarded]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "1.2.3.4"},
        {"X_Forwarded_For": "1.2.3.4"},
        {"Forwarded": "for=1.2.3.4"},
        {"X-Real-IP": "1.2.3.4", "X-Client-IP": "1.2.3.4", "True-Client-IP": "1.2.3.4"},
    ],
    ids="+".join,
)
def test_without_a_proxy_a_session_has_the_peers_address(alone: Web, headers: dict[str, str]) -> None:
    assert new_session_of(alone, headers) == PEER


def test_forged_addresses_do_not_escape_the_quota(alone: Web) -> None:
    alone.sql("delete from accounts_loginrecord")
    forged = [failing({"X-Forwarded-For": f"10.1.{n}.1", "X-Real-IP": f"10.2.{n}.1"}) for n in range(LIMIT)]

    # So few at once that a busy service puts none off.
    statuses = {answer.status for n in range(0, LIMIT, 4) for answer in alone.race(forged[n : n + 4])}
    [beyond] = alone.race([failing({"X-Forwarded-For": "192.0.2.1"})])

    assert statuses == {401}
    assert (beyond.status, beyond.json["code"]) == (429, "rate-limited")
    assert int(beyond.headers["Retry-After"]) in range(1, 901)
    assert alone.sql("select host(ip), count(*) from accounts_loginrecord group by ip") == [(PEER, LIMIT)]


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("198.51.100.9", "198.51.100.9"),
        ("1.2.3.4, 198.51.100.9", "198.51.100.9"),
        ("1.2.3.4, 198.51.100.9, 10.0.0.3", "198.51.100.9"),
        ("garbage, 198.51.100.9", "198.51.100.9"),
        ("198.51.100.9, garbage", PEER),
        ("198.51.100.9:443", PEER),
        ("2001:db8::9", "2001:db8::9"),
        ("fe80::9%'; drop table", "fe80::9"),
    ],
)
def test_a_trusted_proxy_tells_the_address(behind: Web, forwarded: str, address: str) -> None:
    assert new_session_of(behind, HTTPS | {"X-Forwarded-For": forwarded}) == address


@pytest.mark.parametrize("header", ["X_Forwarded_For", "Forwarded", "X-Real-IP"])
def test_a_trusted_proxy_tells_it_by_one_header_alone(behind: Web, header: str) -> None:
    told = "for=1.2.3.4" if header == "Forwarded" else "1.2.3.4"

    assert new_session_of(behind, HTTPS | {"X-Forwarded-For": "198.51.100.8", header: told}) == "198.51.100.8"
    assert new_session_of(behind, HTTPS | {header: told}) == PEER


def test_several_lines_are_one_list(behind: Web) -> None:
    connection = behind.connection()
    connection.putrequest("POST", LOGIN)
    for name, value in [
        ("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-For", "198.51.100.77"),
        ("X-Forwarded-For", "10.0.0.3"), ("Content-Type", "application/json"), ("Content-Length", "36"),
    ]:  # fmt: skip
        connection.putheader(name, value)
    connection.endheaders(b'{"identifier":"none","password":"x"}')
    assert connection.getresponse().status == 401
    connection.close()

    assert behind.sql("select count(*) from accounts_loginrecord where host(ip) = '198.51.100.77'") == [(1,)]


def test_the_address_behind_the_proxy_is_counted_and_no_other(behind: Web) -> None:
    answers = failed_from(behind, [f"1.2.3.{n}, 198.51.100.20" for n in range(FEW + 1)])
    framed = failed_from(behind, ["198.51.100.20, 198.51.100.21"])

    assert [answer.status for answer in answers] == [401] * FEW + [429]
    assert framed[0].status == 401


def test_an_ipv6_address_is_counted_by_its_64(behind: Web) -> None:
    answers = failed_from(behind, [f"2001:db8:1:2:{n}::1" for n in range(FEW + 1)])
    others = failed_from(behind, ["2001:db8:1:3::1"])

    assert [answer.status for answer in answers] == [401] * FEW + [429]
    assert others[0].status == 401


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP"])
def test_a_header_of_40_kb_is_refused(alone: Web, behind: Web, header: str) -> None:
    for web in (alone, behind):
        [answer] = web.race([failing(HTTPS | {header: "1.2.3.4, " * 4500})])
        assert answer.status in (400, 431)


def test_a_trusted_proxys_word_is_taken_for_https(behind: Web) -> None:
    assert behind.call("GET", ME, X_Forwarded_Proto="https").status == 401
    assert behind.call("GET", ME).status == 403
    assert behind.call("GET", ME, X_Forwarded_Proto="http").status == 403


def test_a_strangers_word_is_not_taken_for_https(django_db_setup: None, tmp_path: Path) -> None:
    with serving(tmp_path / "log", HTTPS_ONLY="on", TRUSTED_PROXIES="10.0.0.0/8") as web:
        assert web.call("GET", ME, X_Forwarded_Proto="https").status == 403
