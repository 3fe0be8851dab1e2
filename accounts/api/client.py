"""Who asks, as a session, its event and the throttles remember it.

The address comes from X-Forwarded-For only where a proxy of ours has written it; no other header has a say.
"""

import unicodedata
from collections.abc import Iterable
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.http import HttpRequest
from rest_framework.request import Request

from accounts.conf import AccountsSettings
from accounts.models.session import Client

DEVICE_MOST = 200

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def client_of(request: HttpRequest | Request, *, device_name: str = "") -> Client:
    """The device by the name given, else by its User-Agent; the address as `address_of` tells it."""
    user_agent = _printable(request.headers.get("User-Agent", ""))[:DEVICE_MOST]
    device = _printable(device_name)[:DEVICE_MOST] or user_agent
    return Client(device=device, user_agent=user_agent, ip=address_of(request))


def address_of(request: HttpRequest | Request) -> str | None:
    """The connection's other end, or whom a trusted proxy speaks for; None for a local socket, which has no address.

    That is the right-most entry of X-Forwarded-For that is no proxy of ours: what stands left of it is the client's
    own word. The header's lines are one list (RFC 9110, 5.3). What cannot be read leaves the connection's other end.
    """
    peer = _parsed(request.META.get("REMOTE_ADDR", ""))
    if peer is None:
        return None
    proxies = _networks(AccountsSettings.current().trusted_proxies)
    forwarded = request.headers.get("X-Forwarded-For", "").split(",") if _is_in(proxies, peer) else []
    return str(_nearest_stranger(forwarded, proxies) or peer)


def _nearest_stranger(forwarded: Iterable[str], proxies: Iterable[Network]) -> Address | None:
    for entry in reversed(list(forwarded)):
        address = _parsed(entry.strip(" \t"))
        if address is None or not _is_in(proxies, address):
            return address
    return None


def _parsed(text: str) -> Address | None:
    """An IPv4 address in IPv6 clothes as what it is; without the zone, which is a name of this machine's own."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def _is_in(networks: Iterable[Network], address: Address) -> bool:
    return any(address in network for network in networks)


@cache
def _networks(cidrs: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(ip_network, cidrs))


def _printable(text: str) -> str:
    return "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text).strip()
