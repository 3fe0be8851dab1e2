"""S33: what is asked in a wrong way is refused by its status, and never half understood."""

import socket

import pytest

from tests.acceptance.linking import RESTORE
from tests.acceptance.web import LOGIN, ME, REGISTER, Web, bearer

SOMEBODY = "01a2101e-30ab-7110-a909-a024da587fc4"
PROFILE, USERS = f"/api/v1/users/{SOMEBODY}/profile", "/api/v1/admin/users"
READ = {"GET", "HEAD"}
# All that a path knows. Who may do it is asked where the path knows the method, and only there.
KNOWN = {
    REGISTER: {"POST"},
    LOGIN: {"POST"},
    RESTORE: {"POST"},
    ME: READ | {"PATCH", "DELETE"},
    f"{ME}/settings": READ | {"PATCH"},
    f"{ME}/email": {"POST"},
    PROFILE: READ,
    USERS: READ | {"POST"},
    f"{USERS}/{SOMEBODY}": READ | {"PATCH"},
    f"{USERS}/{SOMEBODY}/suspend": {"POST"},
    f"{USERS}/{SOMEBODY}/sessions/{SOMEBODY}": READ | {"DELETE"},
}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
FOR_ALL = (REGISTER, LOGIN, RESTORE)


@pytest.mark.parametrize(
    ("path", "method"), [(path, one) for path in KNOWN for one in METHODS if one not in KNOWN[path]]
)
def test_another_method_is_refused_with_the_right_ones(web: Web, path: str, method: str) -> None:
    answer = web.call(method, path)

    assert (answer.status, set(answer.headers["Allow"].split(", "))) == (405, KNOWN[path])
    assert answer.json["code"] == "method-not-allowed"


@pytest.mark.parametrize(
    ("path", "method"),
    [(path, one) for path, known in KNOWN.items() for one in sorted(known) if path not in FOR_ALL],
)
def test_a_method_that_there_is_asks_for_a_token(web: Web, path: str, method: str) -> None:
    assert web.call(method, path).status == 401


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
