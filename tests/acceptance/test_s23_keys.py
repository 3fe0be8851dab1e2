"""S23: several keys, of which only public halves are shown; a new one takes over while everyone goes on."""

import base64
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.acceptance.rolling import Balancer, Fleet
from tests.acceptance.serving import pem_of_a_new_key
from tests.acceptance.web import LOGIN, ME, PASSWORD, REFRESH, Web, bearer
from tests.waiting import wait_for

JWKS = "/.well-known/jwks.json"
ISSUER = "http://localhost:8080"
ACCESS_TTL_S = 3
CLIENTS, PAUSE_S, LOGIN_EVERY = 2, 0.1, 5
# A cache may keep the document for less than its max-age, which no test can wait for.
DOCUMENT_KEPT_S = 1.0
MEMBERS = {"kty", "crv", "x", "kid", "use", "alg"}


def entry(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def kid_of(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def expiry_of(token: str) -> int:
    expiry: int = jwt.decode(token, options={"verify_signature": False})["exp"]
    return expiry


def lasting(token: str, pem: bytes) -> str:
    """The same token, signed by the same key, but good for a long time: it ends with its key alone."""
    claims = jwt.decode(token, options={"verify_signature": False, "verify_aud": False})
    key: Any = load_pem_private_key(pem, password=None)
    return jwt.encode({**claims, "exp": claims["exp"] + 600}, key, "EdDSA", jwt.get_unverified_header(token))


def codes(fleet: Fleet, token: str) -> list[tuple[int, str | None]]:
    """What each instance says to the token."""
    answers = [instance.call("GET", ME, **bearer(token)) for instance in fleet.instances]
    return [(answer.status, answer.json.get("code")) for answer in answers]


def shown(fleet: Fleet) -> list[list[str]]:
    """The kids that each instance shows."""
    return [[key["kid"] for key in instance.call("GET", JWKS).json["keys"]] for instance in fleet.instances]


class Verifier:
    """Another service: knows nothing but the document, and asks for it again only when it is old."""

    def __init__(self, balancer: Balancer) -> None:
        self.fetched_at = float("-inf")
        self._balancer = balancer
        self._keys: dict[str, jwt.PyJWK] = {}
        self._lock = threading.Lock()

    def verify(self, token: str) -> None:
        with self._lock:
            if time.monotonic() - self.fetched_at > DOCUMENT_KEPT_S:
                self._fetch()
        # Only a signature that was verified is ever told as expired: on a slow machine its time may be over by now.
        with suppress(jwt.ExpiredSignatureError):
            jwt.decode(token, self._keys[kid_of(token)], algorithms=["EdDSA"], audience=ISSUER, issuer=ISSUER)

    def _fetch(self) -> None:
        asked_at = time.monotonic()
        answer = self._balancer.call("GET", JWKS)
        assert answer.status == 200
        self._keys = {str(key.key_id): key for key in jwt.PyJWKSet.from_dict(answer.json).keys}
        self.fetched_at = asked_at


class Users:
    """Clients that sign in now and then and read themselves with every token that is still good."""

    def __init__(self, balancer: Balancer, username: str) -> None:
        self.verifier = Verifier(balancer)
        self.tokens: list[str] = []
        self.statuses = Counter[tuple[str, int]]()
        self._balancer, self._username = balancer, username
        self._stop = threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """All the time; whatever went wrong for one of them is raised at the end, even where the block failed."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients: list[Future[None]] = [pool.submit(self._work) for _ in range(CLIENTS)]
            try:
                yield
            finally:
                self._stop.set()
                for client in clients:
                    client.result()

    def newest(self) -> str:
        return self.tokens[-1]

    def last_expiry(self, kid: str) -> int:
        return max(expiry_of(token) for token in list(self.tokens) if kid_of(token) == kid)

    def _work(self) -> None:
        turn = 0
        # The pause makes the load; nothing is waited for.
        while not self._stop.wait(PAUSE_S):
            good = [token for token in list(self.tokens) if expiry_of(token) > time.time() + 1]
            if turn % LOGIN_EVERY == 0 or not good:
                self._sign_in()
            else:
                self._read(random.choice(good))  # noqa: S311 - no secret
            turn += 1

    def _sign_in(self) -> None:
        answer = self._balancer.call("POST", LOGIN, {"identifier": self._username, "password": PASSWORD})
        self.statuses[LOGIN, answer.status] += 1
        if answer.status == 200:
            self.verifier.verify(answer.json["token"])
            self.tokens.append(answer.json["token"])

    def _read(self, token: str) -> None:
        answer = self._balancer.call("GET", ME, **bearer(token))
        if expiry_of(token) > time.time():  # else its time was over while the answer was on its way
            self.statuses[ME, answer.status] += 1
        self.verifier.verify(token)


def test_a_new_key_takes_over_without_one_failed_request(web: Web, tmp_path: Path) -> None:
    """The three steps of docs/keys.md; then what is left of the old key's time is refused, but for its sessions."""
    old, new = pem_of_a_new_key(), pem_of_a_new_key()
    username = web.register()["user"]["username"]
    settings = {"JWT_SIGNING_KEYS": entry(old), "ACCESS_TTL_S": str(ACCESS_TTL_S)}
    with Fleet.running(tmp_path, **settings) as fleet:
        users = Users(fleet.balancer, username)
        with users.at_work():
            session = fleet.balancer.call("POST", LOGIN, {"identifier": username, "password": PASSWORD}).json
            wait_for(lambda: users.tokens)
            old_kid, of_the_old_key = kid_of(session["token"]), lasting(session["token"], old)

            fleet.restart(JWT_SIGNING_KEYS=f"{entry(old)},{entry(new)}")
            all_show_it_at = time.monotonic()
            wait_for(lambda: users.verifier.fetched_at > all_show_it_at)

            fleet.restart(JWT_SIGNING_KEYS=f"{entry(new)},{entry(old)}")
            wait_for(lambda: kid_of(users.newest()) != old_kid and users.last_expiry(old_kid) < time.time())
            new_kid = kid_of(users.newest())
            assert codes(fleet, of_the_old_key) == [(200, None)] * 2
            assert shown(fleet) == [[new_kid, old_kid]] * 2

            fleet.restart(JWT_SIGNING_KEYS=entry(new))
            signed_in = len(users.tokens)
            wait_for(lambda: len(users.tokens) > signed_in)

        assert set(users.statuses) == {(LOGIN, 200), (ME, 200)}, users.statuses
        assert users.statuses[ME, 200] > 40
        assert {kid_of(token) for token in users.tokens} == {old_kid, new_kid}
        assert codes(fleet, of_the_old_key) == [(401, "invalid-token")] * 2
        assert shown(fleet) == [[new_kid]] * 2
        refreshed = fleet.balancer.call("POST", REFRESH, {"refresh_token": session["refresh_token"]}).json
        assert codes(fleet, refreshed["token"]) == [(200, None)] * 2


def test_the_document_has_public_members_alone(web: Web) -> None:
    token = web.register()["token"]

    answer = web.call("GET", JWKS)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert list(answer.json) == ["keys"]
    [key] = answer.json["keys"]
    assert set(key) == MEMBERS
    assert (key["kid"], key["kty"], key["crv"]) == (kid_of(token), "OKP", "Ed25519")
    private: Any = load_pem_private_key(web.signing_key, password=None)
    assert base64.urlsafe_b64encode(private.private_bytes_raw()).rstrip(b"=") not in answer.body


def test_the_document_may_be_kept_for_five_minutes_and_an_error_may_not(web: Web) -> None:
    answer, wrong = web.call("GET", JWKS), web.call("POST", JWKS, {})

    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert (answer.headers["Vary"], answer.headers["Set-Cookie"]) == (None, None)
    assert (wrong.status, wrong.headers["Allow"], wrong.json["code"]) == (405, "GET, HEAD", "method-not-allowed")
    assert wrong.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("accept", ["application/json", "application/jwk-set+json", "text/html", "*/*"])
def test_the_document_is_given_whatever_is_accepted(web: Web, accept: str) -> None:
    assert web.call("GET", JWKS, Accept=accept).json["keys"]


def test_head_gives_the_headers_alone(web: Web) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as client:
        client.sendall(f"HEAD {JWKS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 ")
    assert f"Content-Length: {len(web.call('GET', JWKS).body)}".encode() in head
    assert body == b""


@pytest.mark.parametrize("path", ["/.well-known/", "/.well-known/jwks", "/.well-known/jwks.json/", f"{JWKS}/x"])
def test_nothing_else_is_well_known(web: Web, path: str) -> None:
    answer = web.call("GET", path)

    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert json.loads(answer.body)["code"] == "not-found"


def test_the_document_needs_neither_database_nor_cache(web: Web) -> None:
    token = web.register()["token"]

    with web.without_database(token):
        assert web.call("GET", JWKS).status == 200
