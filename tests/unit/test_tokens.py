"""Access tokens over key changes and time; what strangers may try is in tests/acceptance/test_s21_forged_tokens.py."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from pytest_django import Settings

from accounts import tokens
from accounts.keys import load_key
from accounts.models import Session

USER = UUID("01a2101e-30ab-7110-a909-a024da587fc4")
SESSION = UUID("01a2101e-30c4-7232-861b-4ed65678aab4")

# RFC 8037, appendix A.1 and A.3: the key and its thumbprint.
RFC_PRIVATE = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
RFC_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def entry(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())).decode()


OLD, NEW = entry(Ed25519PrivateKey.generate()), entry(Ed25519PrivateKey.generate())


def use_keys(settings: Settings, *entries: str) -> None:
    settings.ACCOUNTS = {**settings.ACCOUNTS, "JWT_SIGNING_KEYS": entries}


def issued(*, ago: timedelta = timedelta(0)) -> str:
    now = datetime.now(UTC) - ago
    return tokens.issue(session_until(now + timedelta(days=1)), now=now)


def session_until(end: datetime) -> Session:
    return Session(id=SESSION, user_id=USER, auth_time=end - timedelta(days=1), expires_at=end)


def header_of(token: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))


def test_a_token_says_who_and_which_session() -> None:
    claims = tokens.verify(issued())

    assert (claims.user_id, claims.session_id) == (USER, SESSION)


def test_a_kid_is_the_keys_thumbprint() -> None:
    raw = base64.urlsafe_b64decode(RFC_PRIVATE + "=")

    assert load_key(entry(Ed25519PrivateKey.from_private_bytes(raw))).kid == RFC_THUMBPRINT


def test_the_first_key_signs_and_all_verify(settings: Settings) -> None:
    use_keys(settings, OLD)
    old_token = issued()
    use_keys(settings, NEW, OLD)
    new_token = issued()

    assert header_of(old_token)["kid"] == load_key(OLD).kid
    assert header_of(new_token)["kid"] == load_key(NEW).kid
    assert tokens.verify(old_token).session_id == tokens.verify(new_token).session_id == SESSION


def test_a_removed_keys_tokens_end_at_once(settings: Settings) -> None:
    use_keys(settings, OLD)
    token = issued()
    use_keys(settings, NEW)

    with pytest.raises(tokens.InvalidToken) as refused:
        tokens.verify(token)

    assert refused.value.reason == "unknown kid"


def test_a_token_ends_after_its_time() -> None:
    assert tokens.verify(issued(ago=timedelta(seconds=290))).user_id == USER

    with pytest.raises(tokens.TokenExpired):
        tokens.verify(issued(ago=timedelta(seconds=301)))


def test_a_token_ends_with_its_session() -> None:
    now = datetime.now(UTC)
    session = session_until(now + timedelta(seconds=10))

    [_, payload, _] = tokens.issue(session, now=now).split(".")

    assert tokens.expires_at(session, now=now) == now + timedelta(seconds=10)
    assert json.loads(base64.urlsafe_b64decode(payload + "=="))["exp"] == int(now.timestamp()) + 10


def test_a_clock_a_little_ahead_does_no_harm() -> None:
    assert tokens.verify(issued(ago=timedelta(seconds=-4))).user_id == USER

    with pytest.raises(tokens.InvalidToken):
        tokens.verify(issued(ago=timedelta(seconds=-30)))


def test_a_token_of_another_service_is_refused(settings: Settings) -> None:
    token = issued()
    settings.ACCOUNTS = {**settings.ACCOUNTS, "PUBLIC_URL": "https://other.example.com"}

    with pytest.raises(tokens.InvalidToken):
        tokens.verify(token)


def test_a_token_over_4_kb_is_not_read() -> None:
    with pytest.raises(tokens.InvalidToken) as refused:
        tokens.verify(issued() + "x" * 4_096)

    assert refused.value.reason == "too long"


def test_a_key_does_not_show_itself() -> None:
    key = load_key(NEW)
    private = load_pem_private_key(base64.b64decode(NEW), password=None)

    assert isinstance(private, Ed25519PrivateKey)
    assert private.private_bytes_raw().hex() not in repr(key)
    assert "PRIVATE" not in repr(key)
