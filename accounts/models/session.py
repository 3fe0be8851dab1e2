"""A session: one sign-in on one device, and the refresh tokens that keep it going.

Each request checks the session's row, so ending it ends access at once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Self

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from accounts.errors import Refused
from accounts.models.user import User


class SessionRevoked(Refused):
    """The session has ended, or its user may not act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks: the device by its own word for itself, and the address it came from, where that is known."""

    device: str
    ip: str | None
    user_agent: str = ""

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
    """The ways a session begins, goes on and ends; all in the caller's transaction."""

    def open(self, *, user: User, client: Client, now: datetime, for_s: int) -> "Session":
        """A new session that lasts `for_s` seconds at most, of who has just given the password."""
        return self.create(
            user=user,
            device=client.device,
            user_agent=client.user_agent,
            ip=client.ip,
            auth_time=now,
            created_at=now,
            last_used_at=now,
            expires_at=now + timedelta(seconds=for_s),
        )

    def alive(self, *, now: datetime) -> Self:
        """Those that have neither ended nor expired."""
        return self.filter(ended_at=None, expires_at__gt=now)

    def renew(self, session: "Session", *, now: datetime) -> None:
        """It begins anew: its user has given the password, and no older token continues it. Raises SessionRevoked."""
        self._go_on(session, now, auth_time=now)

    def reauthenticate(self, session: "Session", *, now: datetime) -> None:
        """Its user has given the password again, for the token that is made of `session` next, and for no other.

        Who has a copy of its refresh token gains nothing: what follows from that says when the session began. Raises
        SessionRevoked if it has ended, or does at this moment.
        """
        self._go_on(session, now)
        session.auth_time = now

    def _go_on(self, session: "Session", now: datetime, **columns: datetime) -> None:
        columns["last_used_at"] = now
        if not self.alive(now=now).filter(pk=session.pk).update(**columns):
            raise SessionRevoked
        for name, value in columns.items():
            setattr(session, name, value)

    def end(self, *, now: datetime) -> int:
        """End those that are open; gives how many were."""
        return self.filter(ended_at=None).update(ended_at=now)


class Session(models.Model):
    """Open while `ended_at` is null and `expires_at` lies ahead.

    `device` is the client's own word for itself, else its user agent; each cut to 200 characters. `last_used_at` moves
    with each refresh.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    device = models.CharField(max_length=200, default="", blank=True)
    user_agent = models.CharField(max_length=200, default="", blank=True)
    ip = models.GenericIPAddressField(null=True)
    auth_time = models.DateTimeField()
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(name="accounts_session_open", fields=["user"], condition=Q(ended_at__isnull=True))]

    def __str__(self) -> str:
        return str(self.id)


class RefreshToken(models.Model):
    """One token of a session's family, by its hash alone. Spent once `used_at` is set; one at most is not."""

    hash = models.BinaryField(primary_key=True, max_length=32)
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="refresh_tokens")
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="accounts_refreshtoken_one_leaf", fields=["session"], condition=Q(used_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"of session {self.session_id}"
