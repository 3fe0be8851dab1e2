"""The login log and the last login: written by `handlers.login_log` from `user.logged_in`."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from django.db import models

# About what one household or office has: an address within changes without the place changing.
NETWORK_BITS = {4: 24, 6: 48}


# Two handlers ask about the same batch of logins.
@lru_cache(maxsize=1024)
def network_of(ip: str | None) -> str:
    """The address's /24 (IPv4) or /48 (IPv6); empty without an address. Raises ValueError for none at all."""
    if ip is None:
        return ""
    address = ip_address(ip)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    bits = NETWORK_BITS[address.version]
    beyond = address.max_prefixlen - bits
    return f"{type(address)(int(address) >> beyond << beyond)}/{bits}"


class LoginRecord(models.Model):
    """One sign-in that succeeded; `network` is its address's, by `network_of`."""

    event_id = models.UUIDField(primary_key=True)
    user_id = models.UUIDField()
    at = models.DateTimeField()
    session_id = models.UUIDField()
    device = models.CharField(max_length=200)
    ip = models.GenericIPAddressField(null=True)
    network = models.CharField(max_length=43)

    class Meta:
        # Of a user's thousand logins from one place the second keeps the place once: equal keys are stored together.
        # With `at` beside them they would not be, and it would be larger than the table.
        indexes = [
            models.Index(name="accounts_login_user_at", fields=["user_id", "at"]),
            models.Index(name="accounts_login_place", fields=["user_id", "network", "device"]),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.at}"


class LastLogin(models.Model):
    """When a user last signed in; only ever moved forward."""

    user_id = models.UUIDField(primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user_id} {self.at}"
