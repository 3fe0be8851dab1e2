"""The settings of this app as one value, with all its problems at once (see `events.conf` for the other app).

Django's ACCOUNTS setting is read here and nowhere else.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from django.conf import settings

from accounts.keys import UnreadableKey, load_key
from events.conf import Problem

PASSWORD_LEAST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsSettings:
    """All of ACCOUNTS. `jwt_signing_keys`: each a file path or the base64 of a PKCS#8 Ed25519 PEM."""

    public_url: str
    redis_url: str
    jwt_signing_keys: tuple[str, ...] = field(repr=False)
    access_ttl_s: int = 300
    password_min_length: int = PASSWORD_LEAST
    password_hashes_at_once: int = 2

    @classmethod
    def current(cls) -> Self:
        """The value of Django's ACCOUNTS. Raises TypeError for a name that is unknown or missing."""
        return cls(**{name.lower(): value for name, value in settings.ACCOUNTS.items()})

    def problems(self) -> list[Problem]:
        """Everything that is wrong."""
        return [*self._wrong_keys(), *self._wrong_cache(), *self._wrong_numbers()]

    def _wrong_keys(self) -> Iterable[Problem]:
        allowed = "a comma list of private Ed25519 keys, each a file path or the base64 of a PKCS#8 PEM"
        if not self.jwt_signing_keys:
            yield Problem("JWT_SIGNING_KEYS", allowed, "nothing")
        for place, entry in enumerate(self.jwt_signing_keys, start=1):
            try:
                load_key(entry)
            except UnreadableKey as error:
                yield Problem("JWT_SIGNING_KEYS", allowed, f"{error} as number {place}")

    def _wrong_cache(self) -> Iterable[Problem]:
        try:
            parts = urlsplit(self.redis_url)
            if parts.scheme in ("redis", "rediss") and parts.hostname and parts.port != 0:
                return
        except ValueError:
            pass
        yield Problem("REDIS_URL", "redis[s]://USER:PASSWORD@HOST:PORT/NUMBER", "something else")

    def _wrong_numbers(self) -> Iterable[Problem]:
        if self.access_ttl_s < 1:
            yield Problem("ACCESS_TTL_S", "1 or more", str(self.access_ttl_s))
        if self.password_hashes_at_once < 1:
            yield Problem("PASSWORD_HASHES_AT_ONCE", "1 or more", str(self.password_hashes_at_once))
        if self.password_min_length < PASSWORD_LEAST:
            yield Problem("PASSWORD_MIN_LENGTH", f"{PASSWORD_LEAST} or more", str(self.password_min_length))
