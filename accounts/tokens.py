"""Access tokens: signed JWTs that say which session asks (see docs/security.md, S21).

`api.answers` hands one out with each sign-in; `api.authentication` reads them and then looks at the session's row.
Nothing of a presented token is believed before its signature was verified with a key and an algorithm of ours.
Sources: RFC 8725 (best practice), RFC 9068 (`at+jwt`), RFC 8037 (EdDSA).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
from jwt.utils import base64url_decode

from accounts.conf import AccountsSettings
from accounts.errors import Refused
from accounts.keys import SigningKey, load_keys
from accounts.models import Session

TOKEN_BYTES_MOST = 4_096
TYPE = "at+jwt"
HEADER_MEMBERS = {"alg", "kid", "typ"}
CLAIMS = ("iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "auth_time")
# Another machine's clock may be this far behind ours.
CLOCKS_APART = timedelta(seconds=5)


class InvalidToken(Refused):
    """The token is not one of ours, or none at all; `reason` is for the log alone."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TokenExpired(Refused):
    """The token was one of ours, and its time is over."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified token says."""

    user_id: UUID
    session_id: UUID
    auth_time: int


def issue(session: Session, *, now: datetime) -> str:
    """A token for this session, good until `expires_at`."""
    settings = AccountsSettings.current()
    key = load_keys(settings.jwt_signing_keys)[0]
    claims: dict[str, Any] = {
        "iss": settings.public_url,
        "aud": settings.public_url,
        "sub": str(session.user_id),
        "sid": str(session.id),
        "jti": str(uuid4()),
        "iat": now,
        "nbf": now - CLOCKS_APART,
        "exp": expires_at(session, now=now),
        "auth_time": int(session.auth_time.timestamp()),
    }
    if claims["auth_time"]:
        claims["amr"] = ["pwd"]
    return jwt.encode(claims, key.private, algorithm=key.algorithm, headers={"typ": TYPE, "kid": key.kid})


def expires_at(session: Session, *, now: datetime) -> datetime:
    """When a token that is issued now is good no more: after ACCESS_TTL_S, and not after its session."""
    return min(now + timedelta(seconds=AccountsSettings.current().access_ttl_s), session.expires_at)


def verify(token: str) -> AccessClaims:
    """What the token says. Raises TokenExpired, and InvalidToken for anything else that is wrong."""
    settings = AccountsSettings.current()
    if len(token) > TOKEN_BYTES_MOST:
        raise InvalidToken("too long")
    key = _key_of(token, load_keys(settings.jwt_signing_keys))
    claims = _verified(token, key, settings.public_url)
    try:
        return AccessClaims(UUID(claims["sub"]), UUID(claims["sid"]), int(claims["auth_time"]))
    except (ValueError, TypeError, AttributeError):
        raise InvalidToken("claims of a wrong type") from None


def _key_of(token: str, keys: Sequence[SigningKey]) -> SigningKey:
    """The key that the header names, if the header says nothing else."""
    header, payload, *_ = [*token.split("."), "", ""]
    members = _strict_object(header, "header")
    _strict_object(payload, "payload")
    if set(members) != HEADER_MEMBERS or members["typ"] != TYPE:
        raise InvalidToken("header members")
    by_kid = {key.kid: key for key in keys}
    kid = members["kid"]
    if not isinstance(kid, str) or kid not in by_kid:
        raise InvalidToken("unknown kid")
    return by_kid[kid]


def _verified(token: str, key: SigningKey, ours: str) -> dict[str, Any]:
    try:
        return jwt.decode(
            token,
            key.public,
            algorithms=[key.algorithm],
            issuer=ours,
            audience=ours,
            # `iat` may lie ahead of this machine's clock; `nbf` is what counts, and allows for that.
            options={"require": list(CLAIMS), "verify_iat": False, "strict_aud": True},
        )
    except jwt.ExpiredSignatureError:
        raise TokenExpired from None
    except jwt.PyJWTError as error:
        raise InvalidToken(type(error).__name__) from None


def _strict_object(segment: str, name: str) -> dict[str, Any]:
    """A JOSE segment as an object without doubled members, which other readers take differently."""
    try:
        found = json.loads(base64url_decode(segment), object_pairs_hook=_refuse_doubled)
    except (ValueError, RecursionError):
        raise InvalidToken(f"{name} not JSON") from None
    if not isinstance(found, dict):
        raise InvalidToken(f"{name} no object")
    return found


def _refuse_doubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("doubled member")
    return members
