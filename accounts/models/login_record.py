"""The login log and the last login.

Sign-ins that succeeded come from `user.logged_in`, by `handlers.login_log`; `services.credentials` writes the others.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

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
    """One sign-in; `network` is its address's, by `network_of`.

    `id` is the event's where it succeeded. A failure has a `reason` and the keyed hash of the name that was typed,
    which may be nobody's.
    """

    class Outcome(models.TextChoices):
        """How it went."""

        SUCCESS = "success"
        FAILURE = "failure"

    class Reason(models.TextChoices):
        """Why it failed."""

        UNKNOWN_NAME = "unknown_name"
        WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a reason
        NOT_ACTIVE = "not_active"
        NOT_RESTORED = "not_restored"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user_id = models.UUIDField(null=True)
    at = models.DateTimeField()
    outcome = models.CharField(max_length=8, choices=Outcome, db_default=Outcome.SUCCESS)
    reason = models.CharField(max_length=16, choices=Reason, db_default="", blank=True)
    identifier_hash = models.CharField(max_length=64, db_default="", blank=True)
    session_id = models.UUIDField(null=True)
    device = models.CharField(max_length=200)
    ip = models.GenericIPAddressField(null=True)
    network = models.CharField(max_length=43)

    class Meta:
        # Of a user's thousand logins from one place the second keeps the place once: equal keys are stored together.
        # With `at` beside them they would not be, and it would be larger than the table.
        indexes = [
            models.Index(name="accounts_login_user_at", fields=["user_id", "at"]),
            models.Index(
                name="accounts_login_place", fields=["user_id", "network", "device"], condition=Q(outcome="success")
            ),
        ]
        constraints = [
            models.CheckConstraint(name="accounts_login_outcome", condition=Q(outcome__in=["success", "failure"]))
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.at}"


class LastLogin(models.Model):
    """When a user last signed in; only ever moved forward."""

    user_id = models.UUIDField(primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user_id} {self.at}"
