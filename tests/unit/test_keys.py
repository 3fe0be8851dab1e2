"""Several signing keys: how they are read, what is wrong with them, and what of them is shown."""

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec_key
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as new_rsa_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.test import Client
from pytest_django import Settings

from accounts.keys import faults_of, load_key, load_keys

# RFC 8037, appendix A.1 to A.3: the key, its public half and its thumbprint.
RFC_PRIVATE = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
RFC_PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
RFC_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
RFC_JWK = {
    "kty": "OKP", "crv": "Ed25519", "x": RFC_PUBLIC, "kid": RFC_THUMBPRINT, "use": "sig", "alg": "EdDSA",
}  # fmt: skip


def pem(key: Any) -> bytes:
    content: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return content


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def new() -> str:
    return encoded(pem(Ed25519PrivateKey.generate()))


RFC = encoded(pem(Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(RFC_PRIVATE + "="))))
PUBLIC = encoded(
    Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
)
OTHER_KINDS = {
    "RSA": new_rsa_key(65537, 2048),
    "P-256": new_ec_key(SECP256R1()),
    "Ed448": Ed448PrivateKey.generate(),
    "X25519": X25519PrivateKey.generate(),
}


def test_a_key_is_shown_by_its_public_members_alone() -> None:
    assert load_key(RFC).jwk == RFC_JWK


def test_all_keys_are_shown_in_their_order(settings: Settings) -> None:
    entries = (new(), RFC, new())
    settings.ACCOUNTS = {**settings.ACCOUNTS, "JWT_SIGNING_KEYS": entries}

    shown = Client().get("/.well-known/jwks.json").json()

    assert list(shown) == ["keys"]
    assert shown["keys"][1] == RFC_JWK
    assert [key["kid"] for key in shown["keys"]] == [load_key(entry).kid for entry in entries]
    assert len({key["x"] for key in shown["keys"]}) == 3


def test_good_keys_have_no_fault() -> None:
    assert list(faults_of([new(), RFC, new()])) == []


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_a_key_of_another_kind_is_a_fault(kind: str) -> None:
    assert list(faults_of([new(), encoded(pem(OTHER_KINDS[kind]))])) == ["a key of another kind as number 2"]


def test_each_fault_is_told_by_its_place() -> None:
    assert list(faults_of([PUBLIC, new(), "no/such/file.pem", ""])) == [
        "no private key in PEM as number 1",
        "neither a readable file nor base64 as number 3",
        "neither a readable file nor base64 as number 4",
    ]


def test_one_key_twice_is_a_fault_in_whatever_form(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(base64.b64decode(RFC))

    assert list(faults_of([RFC, new(), str(file)])) == ["the key of number 1 again as number 3"]


def test_a_file_is_read_once(tmp_path: Path) -> None:
    """A worker that is forked anew must not have another key than the others."""
    file = tmp_path / "key.pem"
    file.write_bytes(base64.b64decode(RFC))
    assert list(faults_of([str(file)])) == []

    file.write_bytes(base64.b64decode(new()))

    assert [key.kid for key in load_keys((str(file),))] == [RFC_THUMBPRINT]
