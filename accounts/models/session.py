"""A session: one sign-in on one device. Each request checks this row, so ending it ends access at once."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Network, ip_address

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from accounts.models.user import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks: the device by its own word for itself, and the address it came from, where that is known."""

    device: str
    ip: str | None

    @property
    def counted(self) -> str:
        """What throttles count the address by: IPv4 whole, IPv6 by the /64 that any one host has; empty if unknown."""
        if self.ip is None:
            return ""
        address = ip_address(self.ip)
        if isinstance(address, IPv4Address):
            return str(address)
        return str(IPv6Network((address, 64), strict=False))


class SessionQuerySet(models.QuerySet["Session"]):
    """The ways a session begins."""

    def open(self, *, user: User, client: Client, now: datetime) -> "Session":
        """A new session, in the caller's transaction."""
        return self.create(user=user, device=client.device, ip=client.ip, auth_time=now, created_at=now)


class Session(models.Model):
    """Open while `ended_at` is null. `device` is the client's own word for itself, cut to 200 characters."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    device = models.CharField(max_length=200, default="", blank=True)
    ip = models.GenericIPAddressField(null=True)
    auth_time = models.DateTimeField()
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(name="accounts_session_open", fields=["user"], condition=Q(ended_at__isnull=True))]

    def __str__(self) -> str:
        return str(self.id)
