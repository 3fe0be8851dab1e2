"""The keys that sign access tokens, read from the entries of JWT_SIGNING_KEYS.

`conf` reports entries that cannot be read, `tokens` signs and verifies with the others. Nothing here ever puts an
entry's content into a message.
Sources: RFC 8037 (Ed25519), RFC 7638 (thumbprint).
"""

import base64
import hashlib
import json
from collections.abc import Sequence
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


@cache
def load_keys(entries: tuple[str, ...]) -> Sequence[SigningKey]:
    """The keys of all entries, in their order: the first signs, all verify. Raises UnreadableKey."""
    return tuple(load_key(entry) for entry in entries)


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
    x = base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
    # RFC 7638: the required members alone, sorted, without spaces.
    canonical = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":"), sort_keys=True)
    return base64url(hashlib.sha256(canonical.encode()).digest())


def base64url(content: bytes) -> str:
    """Without padding, as JOSE writes it."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
