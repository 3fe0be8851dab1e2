"""S21: a token that is not ours is refused, always in the same way, and never leads anywhere."""

import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tests.acceptance.web import ME, Answer, Web, bearer

PUBLIC_URL = "http://localhost:8080"


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def opened(segment: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=="))
    return found


class Forger:
    """Knows a real token, and for what only the service itself could sign, its key."""

    def __init__(self, token: str, key: Ed25519PrivateKey) -> None:
        self.token, self.key = token, key
        header, payload, self.signature = token.split(".")
        self.header, self.payload = opened(header), opened(payload)
        public = key.public_key()
        self.raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def signed(self, *, header: Any = None, payload: Any = None, by: Callable[[bytes], bytes] | None = None) -> str:
        """Objects are encoded, text goes as it is; signed by our own key unless told."""
        parts = [self.header if header is None else header, self.payload if payload is None else payload]
        text = [part if isinstance(part, str) else json.dumps(part) for part in parts]
        content = ".".join(b64(part.encode()) for part in text)
        return f"{content}.{b64((by or self.key.sign)(content.encode()))}"

    def hs256(self, secret: bytes) -> str:
        header = {**self.header, "alg": "HS256"}
        return self.signed(header=header, by=lambda content: hmac.new(secret, content, hashlib.sha256).digest())

    def with_header(self, **members: Any) -> str:
        return self.signed(header={**self.header, **members})

    def with_claims(self, **claims: Any) -> str:
        return self.signed(payload={**self.payload, **claims})

    def without_claim(self, name: str) -> str:
        return self.signed(payload={claim: value for claim, value in self.payload.items() if claim != name})


@pytest.fixture(scope="module")
def forger(web: Web) -> Forger:
    key = load_pem_private_key(web.signing_key, password=None)
    assert isinstance(key, Ed25519PrivateKey)
    return Forger(web.register()["token"], key)


def forgeries(forger: Forger, listener: str) -> dict[str, str]:
    return {**forged_signatures(forger), **forged_headers(forger, listener), **forged_claims(forger)}


def forged_signatures(forger: Forger) -> dict[str, str]:
    header, payload, signature = forger.token.split(".")
    stranger = ed25519.Ed25519PrivateKey.generate()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(forger.raw)}
    return {
        "alg none": forger.signed(header={**forger.header, "alg": "none"}, by=lambda _: b""),
        "alg NoNe": forger.signed(header={**forger.header, "alg": "NoNe"}, by=lambda _: b""),
        "hs256 with the public pem": forger.hs256(forger.pem),
        "hs256 with the stripped pem": forger.hs256(forger.pem.strip()),
        "hs256 with the public der": forger.hs256(forger.der),
        "hs256 with the raw key": forger.hs256(forger.raw),
        "hs256 with the jwk": forger.hs256(json.dumps(jwk).encode()),
        "another key under our kid": forger.signed(by=stranger.sign),
        "rs256": forger.signed(header={**forger.header, "alg": "RS256"}, by=_rsa()),
        "es256": forger.signed(header={**forger.header, "alg": "ES256"}, by=_ec()),
        "empty signature": f"{header}.{payload}.",
        "no signature": f"{header}.{payload}",
        "cut signature": f"{header}.{payload}.{signature[:-4]}",
        "another payload": f"{header}.{b64(json.dumps({**forger.payload, 'sub': 'x'}).encode())}.{signature}",
        "bad base64": f"{header}.{payload}.***",
        "words": "let me in",
        "nothing": "",
    }


def forged_headers(forger: Forger, listener: str) -> dict[str, str]:
    _, payload, signature = forger.token.split(".")
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(forger.raw)}
    return {
        "header not json": f"{b64(b'{')}.{payload}.{signature}",
        "header an array": f"{b64(b'[]')}.{payload}.{signature}",
        "kid a path": forger.with_header(kid="../../../../dev/null"),
        "kid sql": forger.with_header(kid="' or 1=1 --"),
        "kid a url": forger.with_header(kid=listener),
        "kid a number": forger.with_header(kid=1),
        "no kid": forger.signed(header={"alg": "EdDSA", "typ": "at+jwt"}),
        "jku": forger.with_header(jku=listener),
        "x5u": forger.with_header(x5u=listener),
        "jwk": forger.with_header(jwk=jwk),
        "x5c": forger.with_header(x5c=[b64(forger.der)]),
        "crit": forger.with_header(crit=["exp"]),
        "b64 false": forger.with_header(b64=False, crit=["b64"]),
        "doubled header": forger.signed(header=json.dumps(forger.header)[:-1] + ', "alg": "EdDSA"}'),
        "typ jwt": forger.with_header(typ="JWT"),
    }


def forged_claims(forger: Forger) -> dict[str, str]:
    doubled = json.dumps(forger.payload)[:-1] + f', "sub": "{forger.payload["sub"]}"}}'
    now = int(time.time())
    return {
        "doubled claim": forger.signed(payload=doubled),
        "another issuer": forger.with_claims(iss="https://evil.example"),
        "another audience": forger.with_claims(aud="https://evil.example"),
        "several audiences": forger.with_claims(aud=[PUBLIC_URL, "https://evil.example"]),
        "no expiry": forger.without_claim("exp"),
        "no session": forger.without_claim("sid"),
        "subject no uuid": forger.with_claims(sub="admin"),
        "subject an object": forger.with_claims(sub={"a": 1}),
        "not yet": forger.with_claims(nbf=now + 600),
        "deep": forger.signed(payload="[" * 2_900 + "]" * 2),
        "over 4 KB": forger.with_claims(more="x" * 4_096),
    }


def test_every_forgery_is_refused_alike_and_leads_nowhere(web: Web, forger: Forger) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        forged = forgeries(forger, f"http://127.0.0.1:{listener.getsockname()[1]}/keys")
        before = sum('"token refused"' in line for line in web.log_lines())

        answers = {name: web.call("GET", ME, **bearer(token)) for name, token in forged.items()}

        with pytest.raises(BlockingIOError):
            listener.accept()
    assert len(answers) > 40
    expected = {
        "type": f"{PUBLIC_URL}/problems/invalid-token", "title": "The access token is not valid", "status": 401,
        "detail": "Sign in to get a new one.", "instance": ME, "code": "invalid-token",
    }  # fmt: skip
    assert {name: told(answer) for name, answer in answers.items() if told(answer) != told_alike(expected)} == {}
    lines = [line for line in web.log_lines() if '"token refused"' in line]
    assert len(lines) - before == len(forged)
    assert all('"level": "WARNING"' in line for line in lines)
    log = web.log.read_text()
    assert [name for name, token in forged.items() if len(token) > 20 and token[:200] in log] == []


def told(answer: Answer) -> tuple[str | None, dict[str, Any]]:
    return answer.headers["WWW-Authenticate"], {n: v for n, v in answer.json.items() if n != "request_id"}


def told_alike(expected: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return 'Bearer error="invalid_token"', expected


def test_a_token_of_our_own_is_taken(web: Web, forger: Forger) -> None:
    assert web.call("GET", ME, **bearer(forger.token)).status == 200
    assert web.call("GET", ME, **bearer(forger.signed())).status == 200


def test_an_expired_token_is_told_as_expired(web: Web, forger: Forger) -> None:
    answer = web.call("GET", ME, **bearer(forger.with_claims(exp=int(time.time()) - 1)))

    assert (answer.status, answer.json["code"]) == (401, "token-expired")


def test_a_token_lasts_300_seconds_and_says_what_it_is(forger: Forger) -> None:
    assert forger.payload["exp"] - forger.payload["iat"] == 300
    assert set(forger.header) == {"alg", "kid", "typ"}
    assert (forger.header["alg"], forger.header["typ"]) == ("EdDSA", "at+jwt")
    assert set(forger.payload) == {"iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "auth_time", "amr"}
    assert forger.payload["amr"] == ["pwd"]


@pytest.mark.parametrize(
    "statement",
    [
        "update accounts_user set status = 'suspended' where id = %s",
        "update accounts_user set status = 'pending_deletion' where id = %s",
        "update accounts_session set ended_at = now() where user_id = %s",
        """
        with mine as (select id from accounts_session where user_id = %s),
            tokens as (delete from accounts_refreshtoken where session_id in (select id from mine))
        delete from accounts_session where id in (select id from mine)
        """,
    ],
)
def test_access_ends_with_the_session_or_the_user(web: Web, statement: str) -> None:
    registered = web.register()
    assert web.call("GET", ME, **bearer(registered["token"])).status == 200

    web.unguarded(statement, registered["user"]["id"])

    answer = web.call("GET", ME, **bearer(registered["token"]))
    assert (answer.status, answer.json["code"]) == (401, "session-revoked")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YTpi"}, {"Cookie": "sessionid=abc"}])
def test_without_a_bearer_token_one_is_asked_for(web: Web, headers: dict[str, str]) -> None:
    answer = web.call("GET", ME, **headers)

    assert (answer.status, answer.json["code"], answer.headers["WWW-Authenticate"]) == (401, "invalid-token", "Bearer")


def test_a_token_in_the_url_counts_for_nothing(web: Web, forger: Forger) -> None:
    assert web.call("GET", f"{ME}?access_token={forger.token}").status == 401


def _rsa() -> Callable[[bytes], bytes]:
    key = rsa.generate_private_key(65537, 2048)
    return lambda content: key.sign(content, padding.PKCS1v15(), SHA256())


def _ec() -> Callable[[bytes], bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    return lambda content: key.sign(content, ec.ECDSA(SHA256()))
