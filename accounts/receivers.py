"""Where webhooks may go: the form of a receiver's URL, which addresses are public, and the secret that signs.

`conf` judges the settings by it before anything starts; `outside.webhooks` and `outside.posting` once more at each
sending. No message here quotes a URL or a secret.
"""

import hashlib
import re
from base64 import b64decode
from binascii import Error as NotBase64
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple, Self

Address = IPv4Address | IPv6Address

SECRET_PREFIX = "whsec_"  # noqa: S105 - as Standard Webhooks marks its secrets
SECRET_BYTES_LEAST = 24

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?"
# What all clients read alike: no user, no fragment, no backslash, nothing invisible, a name in its ASCII form.
_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<host>({_LABEL}\.){{0,20}}{_LABEL}|\[(?=[0-9a-f.]*:)[0-9a-f:.]{{2,45}}\])(:(?P<port>[1-9][0-9]{{0,4}}))?"
    r"(?P<target>[/?][!\"$-\[\]-~]*)?",
    re.IGNORECASE,
)
# 0, 2130706433, 0x7f.1: programs differ in whether they read these as addresses, and as which.
_NUMERIC_END = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)", re.IGNORECASE)
_PORT_MOST = 65_535


class Scheme(NamedTuple):
    """The port that a URL without one means, and the one beside it that is allowed too."""

    usual: int
    other: int


_SCHEMES = {"https": Scheme(443, 8443), "http": Scheme(80, 8080)}

# IANA's registries of special-purpose addresses, and multicast. Of IPv6 only 2000::/3 is given out at all, so neither
# IPv4 inside it (::ffff:0:0/96, 64:ff9b::/96) nor local and link-local ones need a line.
_REFUSED_4 = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/3",
        "168.63.129.16/32",  # a public address by which Azure's machines reach their own platform
    )
]  # fmt: skip
_GIVEN_OUT_6 = IPv6Network("2000::/3")
_REFUSED_6 = [IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]


class UnusableUrl(ValueError):
    """No URL for a receiver; says why, in words that hold nothing of it but its port."""


class UnusableSecret(ValueError):
    """No secret to sign with; says why, in words that hold nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A URL that may be sent to. `host` without an IPv6 address's brackets; `target` is path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def of(cls, url: str, *, allow_http: bool, allow_private: bool) -> Self:
        """The receiver behind `url`; whether its name leads to public addresses shows when it is resolved.

        Raises UnusableUrl.
        """
        found = _URL.fullmatch(url)
        if not found:
            raise UnusableUrl("something else")
        scheme, host = found["scheme"].lower(), found["host"].lower().strip("[]")
        port = int(found["port"] or _SCHEMES[scheme].usual)
        if scheme == "http" and not allow_http:
            raise UnusableUrl("http")
        if port > _PORT_MOST or (not allow_private and port not in _SCHEMES[scheme]):
            raise UnusableUrl(f"port {port}")
        _refuse_host(host, allow_private=allow_private)
        target = found["target"] or "/"
        return cls(scheme=scheme, host=host, port=port, target=target if target[0] == "/" else f"/{target}")

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _SCHEMES[self.scheme].usual else f"{host}:{self.port}"


def name_of(url: str) -> str:
    """Sixteen hexadecimal digits that stand for the URL, whose query may be a secret, in rows and keys."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def is_public(address: Address) -> bool:
    """Whether it is an ordinary address of the internet, and not of this machine, its network or its platform."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_4)
    return address in _GIVEN_OUT_6 and not any(address in network for network in _REFUSED_6)


def signing_keys(secrets: str) -> list[bytes]:
    """The bytes of each `whsec_…` of a comma list. Raises UnusableSecret, with its place where there are several."""
    listed = secrets.split(",")
    keys = []
    for number, secret in enumerate(listed, start=1):
        try:
            keys.append(_signing_key(secret))
        except UnusableSecret as fault:
            raise UnusableSecret(f"as number {number}: {fault}" if len(listed) > 1 else str(fault)) from None
    return keys


def _signing_key(secret: str) -> bytes:
    if not secret:
        raise UnusableSecret("nothing")
    try:
        key = b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (NotBase64, ValueError):
        raise UnusableSecret("something else") from None
    if not secret.startswith(SECRET_PREFIX):
        raise UnusableSecret("something else")
    if len(key) < SECRET_BYTES_LEAST:
        raise UnusableSecret(f"{len(key)} bytes")
    return key


def _refuse_host(host: str, *, allow_private: bool) -> None:
    try:
        address = ip_address(host)
    except ValueError:
        if ":" in host or _NUMERIC_END.fullmatch(host):
            raise UnusableUrl("an address in no usual form") from None
        return
    if not allow_private and not is_public(address):
        raise UnusableUrl("an address that is not public")
