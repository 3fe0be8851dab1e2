"""Who asks, as a session and its event remember it."""

import unicodedata
from ipaddress import IPv6Address, ip_address

from django.http import HttpRequest
from rest_framework.request import Request

from accounts.models.session import Client

DEVICE_MOST = 200


def client_of(request: HttpRequest | Request, *, device_name: str = "") -> Client:
    """The device by the name given, else by its User-Agent; the address of the connection's other end."""
    user_agent = _printable(request.headers.get("User-Agent", ""))[:DEVICE_MOST]
    device = _printable(device_name)[:DEVICE_MOST] or user_agent
    return Client(device=device, user_agent=user_agent, ip=_address(request.META.get("REMOTE_ADDR", "")))


def _printable(text: str) -> str:
    return "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text).strip()


def _address(text: str) -> str | None:
    """None for a local socket, which has no address; an IPv4 address in IPv6 clothes as what it is."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)
