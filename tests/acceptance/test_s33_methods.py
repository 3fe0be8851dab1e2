"""S33: what is asked in a wrong way is refused by its status, and never half understood."""

import socket
from collections.abc import Iterator

import pytest

from tests.acceptance.described import OPERATIONS, Operation, operations_where
from tests.acceptance.hostile import BY_THE_SERVER
from tests.acceptance.trying import INVALID, UNKNOWN, People, Trial, Try
from tests.acceptance.web import LOGIN, ME, Web, bearer

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "PROPFIND"]
FIRST_OF_PATHS = list({operation.path: operation for operation in OPERATIONS}.values())
FOR_WHO_IS_SIGNED_IN = operations_where(lambda operation: not operation.is_public)
FOR_STAFF = operations_where(lambda operation: operation.is_administration)
FOR_ALL = operations_where(lambda operation: operation.is_public and operation.is_of_the_api)
NO_TOKEN, FORBIDDEN, OTHER_METHOD = (401, "invalid-token"), (403, "forbidden"), (405, "method-not-allowed")


@pytest.fixture(scope="module")
def user(web: Web) -> dict[str, str]:
    """The token of somebody to whom nothing happens."""
    return bearer(web.register()["token"])


def methods_of(path: str) -> set[str]:
    known = {operation.method for operation in OPERATIONS if operation.path == path}
    return known | ({"HEAD"} if "GET" in known else set())


@pytest.mark.parametrize("operation", FIRST_OF_PATHS, ids=lambda operation: operation.path)
def test_another_method_is_refused_with_the_right_ones(web: Web, people: People, operation: Operation) -> None:
    known = methods_of(operation.path)
    by_header = ("X-HTTP-Method-Override", operation.method)

    with Trial(web, operation, people) as trial:
        for method in set(METHODS) - known:
            for headers in ([], [by_header], [("Authorization", None)]):
                case = f"{method} {headers}"
                answer = trial.ask(Try(case, headers=headers, body=b"{}", method=method, must=OTHER_METHOD))
                if set(answer.headers.get("Allow", "").split(", ")) != known:
                    trial.wrong.append(f"{case}: {answer.headers['Allow']} for {known}")
        trial.ask(Try("small letters", method=operation.method.lower(), must=BY_THE_SERVER))


def without_a_token(token: str) -> Iterator[Try]:
    """A right token at wrong places, what looks like one, and what would be refused for another reason, too."""
    for value in (
        "", "Bearer", "Bearer ", "Bearer null", "Bearer \udcff", "Bearer " + "x" * 4_000, "Basic dTpw", "Digest",
        token, f"Token {token}", f"JWT {token}", f"Basic {token}", f"Bearer={token}", f"Bearer:{token}",
        f"Bearer\t{token}", f'Bearer "{token}"', f"Bearer {token} x", f"Bearer {token},Bearer {token}",
        f"Bearer x {token}", f"Bearer {token}.", f"Bearer {token.rpartition('.')[0]}.",
    ):  # fmt: skip
        yield Try(f"Authorization: {value}", headers=[("Authorization", value)], must=NO_TOKEN)
    right = f"Bearer {token}"
    for pair in ((right, right), ("Basic dTpw", right), (right, "Basic dTpw")):
        yield Try(f"{pair}", headers=[("Authorization", value) for value in pair], must=NO_TOKEN)
    nothing = ("Authorization", None)
    for name in (
        "X-Authorization",
        "Proxy-Authorization",
        "X-Forwarded-Authorization",
        "X-Auth-Token",
        "X-Access-Token",
    ):
        yield Try(name, headers=[nothing, (name, right)], must=NO_TOKEN)
    for cookie in (f"token={token}", f"access_token={token}", f"sessionid={token}", f"Authorization=Bearer {token}"):
        yield Try(f"Cookie: {cookie}", headers=[nothing, ("Cookie", cookie)], must=NO_TOKEN)
    for query in (f"?access_token={token}", f"?token={token}", f"?Authorization=Bearer%20{token}", "?hostile=1"):
        yield Try(query, query=query, headers=[nothing], must=NO_TOKEN)
    for body in (f'{{"access_token": "{token}"}}'.encode(), b"[" * 60_000, b"x" * 66_000):
        yield Try(f"{body[:20]!r}", headers=[nothing], body=body, must=NO_TOKEN)


@pytest.mark.parametrize("operation", FOR_WHO_IS_SIGNED_IN, ids=str)
def test_only_a_bearer_token_in_its_header_is_one_and_that_is_asked_first(
    web: Web, people: People, operation: Operation
) -> None:
    with Trial(web, operation, people) as trial:
        for one in without_a_token(trial.token):
            trial.ask(one)
        usual = trial.harmless(Try("a right one"))
        for scheme in ("bearer", "BEARER"):
            same = (usual.status, "") if operation.is_safe else INVALID
            trial.harmless(Try(scheme, headers=[("Authorization", f"{scheme} {trial.token}")], must=same))
        if operation.is_safe:
            assert trial.ask(Try("HEAD", method="HEAD")).body == b""


@pytest.mark.parametrize("operation", FOR_STAFF, ids=str)
def test_who_may_not_is_told_so_before_anything_else(
    web: Web, people: People, user: dict[str, str], operation: Operation
) -> None:
    [its_token] = user.items()

    with Trial(web, operation, people) as trial:
        for body in (b"{}", UNKNOWN, b"[", b"x" * 66_000):
            trial.ask(Try(f"{body[:20]!r}", headers=[its_token], body=body, must=FORBIDDEN))
        trial.ask(Try("no If-Match", headers=[its_token, ("If-Match", None)], body=b"{}", must=FORBIDDEN))
        trial.ask(Try("a form", headers=[its_token, ("Content-Type", "text/plain")], body=b"a=b", must=FORBIDDEN))
        trial.ask(Try("an unknown parameter", headers=[its_token], query="?hostile=1", must=FORBIDDEN))


@pytest.mark.parametrize("operation", FOR_ALL, ids=str)
def test_a_token_in_a_url_is_never_taken_even_where_none_is_needed(
    web: Web, people: People, operation: Operation
) -> None:
    with Trial(web, operation, people) as trial:
        for name in ("access_token", "token", "Authorization"):
            query = f"?{name}={people.somebody['token']}"
            trial.ask(Try(name, query=query, body=None if operation.is_safe else b"{}", must=INVALID))


@pytest.mark.parametrize("accept", ["*/*", "application/*", "application/json", "text/html, application/json;q=0.1"])
def test_who_takes_json_among_others_gets_it(web: Web, accept: str) -> None:
    answer = web.call("POST", LOGIN, {"identifier": "nobody", "password": "x"}, Accept=accept)

    assert answer.told == (401, "invalid-credentials")


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
