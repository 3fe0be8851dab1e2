"""Secrets that only their holder knows, and keyed hashes: nothing here can be turned back.

Refresh tokens and the links of mails are stored by `digest` alone. One that may have to be given again is `derived`, so
that it need not be kept. What is counted or compared but not to be read in the database goes through `keyed`.
"""

import hashlib
import secrets

from django.core.signing import b64_encode
from django.utils.crypto import salted_hmac

TOKEN_BYTES = 32


def random_token() -> str:
    """256 random bits in 43 characters that may stand in a URL."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def derived_token(purpose: str, *parts: str) -> str:
    """The token that belongs to these parts: the same each time, and only this server can tell it."""
    return b64_encode(keyed(purpose, *parts)).decode()


def digest(token: str) -> bytes:
    """What is stored of a token. Its 256 bits cannot be guessed, so a plain hash does."""
    return hashlib.sha256(token.encode()).digest()


def keyed(purpose: str, *parts: str) -> bytes:
    """A hash that tells equal from unequal to this server alone: guesses cannot be tried on it elsewhere."""
    # Each part with its length: ("ab", "c") and ("a", "bc") are two things.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return salted_hmac(f"accounts.{purpose}", text, algorithm="sha256").digest()
