"""S33: what is asked in a wrong way is refused by its status, and never half understood."""

import socket

import pytest

from tests.acceptance.web import LOGIN, ME, REGISTER, Web, bearer

PROFILE = "/api/v1/users/01a2101e-30ab-7110-a909-a024da587fc4/profile"
ALLOWED = [(REGISTER, "POST"), (LOGIN, "POST"), (ME, "GET, HEAD"), (PROFILE, "GET, HEAD")]


@pytest.mark.parametrize(("path", "allowed"), ALLOWED)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_another_method_is_refused_with_the_right_ones(web: Web, path: str, allowed: str, method: str) -> None:
    if method in allowed:
        return

    answer = web.call(method, path)

    assert (answer.status, answer.headers["Allow"]) == (405, allowed)
    assert answer.json["code"] == "method-not-allowed"


def test_a_method_in_a_header_is_no_method(web: Web) -> None:
    token = web.register()["token"]

    assert web.call("POST", ME, {}, X_HTTP_Method_Override="GET", **bearer(token)).status == 405


@pytest.mark.parametrize(
    ("accept", "status"),
    [("text/html", 406), ("a/b," * 300, 406), ("image/png", 406), ("*/*", 401), ("application/json", 401)],
)
def test_answers_are_json_or_none(web: Web, accept: str, status: int) -> None:
    answer = web.call("POST", LOGIN, {"identifier": "nobody", "password": "x"}, Accept=accept)

    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_sixty_kilobytes_of_accept_are_refused(web: Web) -> None:
    assert web.call("GET", ME, Accept="a/b," * 15_000).status in (400, 431)


BOTH = "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
SMUGGLED = {
    "both lengths": BOTH + "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two lengths": "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}x",
    "odd encoding": "POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "bare LF": "GET {path} HTTP/1.1\nHost: localhost\n\n",
    "folded": "GET {path} HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c\r\n\r\n",
    "space before the colon": "GET {path} HTTP/1.1\r\nHost : localhost\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_two_servers_would_read_differently_gets_one_refusal(web: Web, name: str) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as client:
        client.sendall(SMUGGLED[name].format(path=LOGIN).encode())
        client.shutdown(socket.SHUT_WR)
        answers = client.makefile("rb").read()

    assert answers.count(b"HTTP/1.1 ") == 1
    assert answers.split(b" ")[1] in (b"400", b"501"), answers
