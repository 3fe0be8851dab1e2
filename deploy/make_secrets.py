"""`python make_secrets.py FOLDER`: secrets for the local containers, made once and kept in their volume.

Before: nothing; `docker compose up` runs this first. After: PostgreSQL reads `postgres-password`, and the
application reads `.env`, which names the rest. A folder that has them already is left as it is.
"""

import base64
import os
import secrets
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def make_secrets(folder: Path) -> None:
    """Write both files, `.env` last: once it is there, all of it is."""
    if (folder / ".env").exists():
        return
    password = secrets.token_urlsafe(32)
    _write(folder / "postgres-password", password)
    _write(
        folder / ".env",
        f"SECRET_KEY={secrets.token_urlsafe(50)}\n"
        f"JWT_SIGNING_KEYS={_signing_key()}\n"
        f"DATABASE_URL=postgres://usercenter:{password}@postgres:5432/usercenter\n",
    )


def _signing_key() -> str:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(pem).decode()


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and for its owner's eyes only."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with open(unfinished, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    unfinished.rename(path)


if __name__ == "__main__":
    make_secrets(Path(sys.argv[1]))
