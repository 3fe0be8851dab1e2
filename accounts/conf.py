"""The settings of this app as one value, with all its problems at once (see `events.conf` for the other app).

Django's ACCOUNTS setting is read here and nowhere else.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_network
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from django.conf import settings

from accounts import breached
from accounts.keys import faults_of
from accounts.receivers import Receiver, UnusableSecret, UnusableUrl, signing_keys
from events.conf import Problem

PASSWORD_LEAST = 8
REDIS_ALLOWED = "redis[s]://USER:PASSWORD@HOST:PORT/NUMBER"


class Window(NamedTuple):
    """At most so many in so many seconds."""

    most: int
    within_s: int


# What THROTTLES may change, name by name. `docs/security.md` says by what each counts.
THROTTLES: Mapping[str, tuple[Window, ...]] = {
    "login-pair": (Window(10, 15 * 60),),
    "login-account": (Window(50, 3600),),
    "login-address": (Window(100, 15 * 60),),
    "login-failures": (Window(100, 365 * 24 * 3600),),
    "login-warning": (Window(1, 3600),),
    "register-address": (Window(20, 3600),),
    "mail-recipient": (Window(3, 3600), Window(10, 24 * 3600)),
    "mail-address": (Window(20, 3600),),
}
_A_DAY_S = 24 * 3600
_LEAST_AND_MOST = {
    "ACCESS_TTL_S": (1, _A_DAY_S),
    "REFRESH_IDLE_S": (1, 3650 * _A_DAY_S),
    "REFRESH_ABSOLUTE_S": (1, 3650 * _A_DAY_S),
    "REFRESH_GRACE_S": (0, 3600),
    "REAUTH_WITHIN_S": (1, _A_DAY_S),
    "DELETION_GRACE_S": (0, 3650 * _A_DAY_S),
    "PASSWORD_HASHES_AT_ONCE": (1, 256),
    "PASSWORD_MIN_LENGTH": (PASSWORD_LEAST, 128),
}
_QUOTA = re.compile(r"(?P<name>[a-z-]+)=(?P<windows>\d{1,9}/\d{1,9}(\+\d{1,9}/\d{1,9})*)")


@cache
def quotas_of(entries: tuple[str, ...]) -> Mapping[str, tuple[Window, ...]]:
    """THROTTLES as given (`login-pair=10/900`, several windows by `+`) over the defaults. Raises ValueError."""
    quotas = dict(THROTTLES)
    for entry in entries:
        found = _QUOTA.fullmatch(entry.strip())
        if not found or found["name"] not in THROTTLES:
            raise ValueError(entry)
        windows = [Window(*map(int, window.split("/"))) for window in found["windows"].split("+")]
        if any(min(window) < 1 for window in windows):
            raise ValueError(entry)
        quotas[found["name"]] = tuple(windows)
    return quotas


def leads_to_redis(url: str) -> bool:
    """Whether the URL names a host that can be reached, and of its databases one by its number or none."""
    try:
        parts = urlsplit(url)
        is_reachable = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_reachable and re.fullmatch(r"(/[0-9]{0,9})?", parts.path) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsSettings:
    """All of ACCOUNTS. `jwt_signing_keys`: each a file path or the base64 of a PKCS#8 Ed25519 PEM."""

    public_url: str
    redis_url: str = field(repr=False)
    jwt_signing_keys: tuple[str, ...] = field(repr=False)
    access_ttl_s: int = 300
    password_min_length: int = PASSWORD_LEAST
    password_refuse_common: bool = True
    # A path; none where it is empty.
    password_breached_file: str = ""
    password_hashes_at_once: int = 2
    trusted_proxies: tuple[str, ...] = ()
    refresh_idle_s: int = 14 * 24 * 3600
    refresh_absolute_s: int = 30 * 24 * 3600
    refresh_grace_s: int = 10
    registration_reveals_email: bool = True
    reauth_within_s: int = 300
    deletion_grace_s: int = 30 * 24 * 3600
    throttles: tuple[str, ...] = ()
    webhook_urls: tuple[str, ...] = field(default=(), repr=False)
    # A comma list: all sign, so that receivers can change over from one to the next.
    webhook_secret: str = field(default="", repr=False)
    webhook_allow_http: bool = False
    webhook_allow_private: bool = False

    @classmethod
    def current(cls) -> Self:
        """The value of Django's ACCOUNTS. Raises TypeError for a name that is unknown or missing."""
        return cls(**{name.lower(): value for name, value in settings.ACCOUNTS.items()})

    @property
    def quotas(self) -> Mapping[str, tuple[Window, ...]]:
        """All quotas by name. Raises ValueError for entries of THROTTLES that cannot be read."""
        return quotas_of(self.throttles)

    def receiver(self, url: str) -> Receiver:
        """Who may be sent to at this URL. Raises UnusableUrl."""
        return Receiver.of(url, allow_http=self.webhook_allow_http, allow_private=self.webhook_allow_private)

    def problems(self) -> list[Problem]:
        """Everything that is wrong."""
        numbers = [*self._wrong_numbers(), *self._wrong_throttles()]
        parts = [*self._wrong_cache(), *self._wrong_proxies(), *self._wrong_list(), *self._wrong_webhooks()]
        return [*self._wrong_keys(), *parts, *numbers]

    def _wrong_keys(self) -> Iterable[Problem]:
        allowed = "a comma list of different private Ed25519 keys, each a file path or the base64 of a PKCS#8 PEM"
        if not self.jwt_signing_keys:
            yield Problem("JWT_SIGNING_KEYS", allowed, "nothing")
        for fault in faults_of(self.jwt_signing_keys):
            yield Problem("JWT_SIGNING_KEYS", allowed, fault)

    def _wrong_list(self) -> Iterable[Problem]:
        try:
            if self.password_breached_file:
                breached.refuse_unusable(self.password_breached_file)
        except breached.UnusableList as error:
            allowed = "a readable file of one password a line, or of SHA-1 sums in their order"
            yield Problem("PASSWORD_BREACHED_FILE", allowed, str(error))

    def _wrong_webhooks(self) -> Iterable[Problem]:
        allowed = (
            "a comma list of https:// URLs of public hosts at port 443 or 8443, without user and fragment"
            " (WEBHOOK_ALLOW_HTTP: http:// too, at port 80 or 8080; WEBHOOK_ALLOW_PRIVATE: any host and port)"
        )
        for number, url in enumerate(self.webhook_urls, start=1):
            try:
                self.receiver(url)
            except UnusableUrl as fault:
                yield Problem("WEBHOOK_URLS", allowed, f"as number {number}: {fault}")
        try:
            if self.webhook_urls or self.webhook_secret:
                signing_keys(self.webhook_secret)
        except UnusableSecret as fault:
            allowed = "whsec_ and the base64 of 24 random bytes or more, or a comma list of such"
            yield Problem("WEBHOOK_SECRET", allowed, str(fault))

    def _wrong_cache(self) -> Iterable[Problem]:
        if not leads_to_redis(self.redis_url):
            yield Problem("REDIS_URL", REDIS_ALLOWED, "something else")

    def _wrong_proxies(self) -> Iterable[Problem]:
        try:
            for cidr in self.trusted_proxies:
                ip_network(cidr)
        except ValueError:
            allowed = "a comma list of networks such as 10.0.0.0/8"
            yield Problem("TRUSTED_PROXIES", allowed, repr(",".join(self.trusted_proxies)))

    def _wrong_numbers(self) -> Iterable[Problem]:
        for name, (least, most) in _LEAST_AND_MOST.items():
            number = getattr(self, name.lower())
            if not least <= number <= most:
                yield Problem(name, f"{least} to {most}", str(number))

    def _wrong_throttles(self) -> Iterable[Problem]:
        try:
            self.quotas  # noqa: B018 - reading it is what may fail
        except ValueError as error:
            allowed = (
                f"a comma list such as login-pair=10/900 or mail-recipient=3/3600+10/86400, of {', '.join(THROTTLES)}"
            )
            yield Problem("THROTTLES", allowed, repr(str(error)))
