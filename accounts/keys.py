"""The keys that sign access tokens, read from the entries of JWT_SIGNING_KEYS.

`conf` reports what is wrong with the entries, `tokens` signs and verifies with the keys, `api.jwks` shows their public
halves; docs/keys.md says how one key follows another. Nothing here ever puts an entry's content into a message.
Sources: RFC 8037 (Ed25519), RFC 7517 (JWK), RFC 7638 (thumbprint).
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

ALGORITHM = "EdDSA"
_BASE64_OF_A_PEM = "LS0tLS"  # "-----BEGIN" encoded: no file is named so


class UnreadableKey(Exception):
    """The entry is no private Ed25519 key; the message says in what way, never what it holds."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair. `kid` is the RFC 7638 thumbprint of its public half."""

    kid: str
    private: Ed25519PrivateKey = field(repr=False)
    algorithm: str = ALGORITHM

    @property
    def public(self) -> Ed25519PublicKey:
        """What verifies."""
        return self.private.public_key()

    @property
    def jwk(self) -> dict[str, str]:
        """The public half as a JWK, for everyone to see."""
        return {**_required_members(self.public), "kid": self.kid, "use": "sig", "alg": self.algorithm}


def load_keys(entries: tuple[str, ...]) -> Sequence[SigningKey]:
    """The keys of all entries, in their order: the first signs, all verify. Raises UnreadableKey."""
    return tuple(load_key(entry) for entry in entries)


def faults_of(entries: Sequence[str]) -> Iterator[str]:
    """What is wrong with the entries, by their places from 1: what is no key, and a key that stands twice."""
    places: dict[str, int] = {}
    for place, entry in enumerate(entries, start=1):
        try:
            earlier = places.setdefault(load_key(entry).kid, place)
        except UnreadableKey as error:
            yield f"{error} as number {place}"
            continue
        if earlier != place:
            yield f"the key of number {earlier} again as number {place}"


# Read once, by the check before the workers are forked: a file that changes later must not make one of them sign with
# a key that the others do not know.
@cache
def load_key(entry: str) -> SigningKey:
    """The key of one entry: a file's path or the base64 of a PKCS#8 PEM. Raises UnreadableKey."""
    try:
        private = load_pem_private_key(_pem(entry), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnreadableKey("no private key in PEM") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise UnreadableKey("a key of another kind")
    return SigningKey(_thumbprint(private.public_key()), private)


def _pem(entry: str) -> bytes:
    try:
        if entry.startswith(_BASE64_OF_A_PEM):
            return base64.b64decode(entry, validate=True)
        return Path(entry).read_bytes()
    except (ValueError, OSError):
        raise UnreadableKey("neither a readable file nor base64") from None


def _thumbprint(public: Ed25519PublicKey) -> str:
    # RFC 7638: the required members alone, sorted, without spaces.
    canonical = json.dumps(_required_members(public), separators=(",", ":"), sort_keys=True)
    return base64url(hashlib.sha256(canonical.encode()).digest())


def _required_members(public: Ed25519PublicKey) -> dict[str, str]:
    x = base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
    return {"kty": "OKP", "crv": "Ed25519", "x": x}


def base64url(content: bytes) -> str:
    """Without padding, as JOSE writes it."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
