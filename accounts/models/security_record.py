"""The security log: what a user, or an operator looking after one, should know of."""

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

_KINDS = [
    "new_device", "password_changed", "password_reset", "refresh_token_reused", "login_blocked", "unusual_login",
    "email_changed", "email_change_undone", "unlocked", "reset_requested",
]  # fmt: skip


class SecurityRecord(models.Model):
    """One thing noticed or done, once an event and kind.

    What no event tells of has an id of its own as `event_id`. `actor_id` is who did it on the user's behalf, and
    `reason` why.
    """

    class Kind(models.TextChoices):
        """What was noticed."""

        NEW_DEVICE = "new_device"
        PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a kind, as the next two
        PASSWORD_RESET = "password_reset"  # noqa: S105
        REFRESH_TOKEN_REUSED = "refresh_token_reused"  # noqa: S105
        LOGIN_BLOCKED = "login_blocked"
        UNUSUAL_LOGIN = "unusual_login"
        EMAIL_CHANGED = "email_changed"
        EMAIL_CHANGE_UNDONE = "email_change_undone"
        UNLOCKED = "unlocked"
        RESET_REQUESTED = "reset_requested"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    event_id = models.UUIDField()
    kind = models.CharField(max_length=32, choices=Kind)
    user_id = models.UUIDField()
    at = models.DateTimeField()
    device = models.CharField(max_length=200, default="", blank=True)
    ip = models.GenericIPAddressField(null=True)
    actor_id = models.UUIDField(null=True)
    reason = models.CharField(max_length=200, db_default="", default="", blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="accounts_security_once", fields=["event_id", "kind"]),
            models.CheckConstraint(
                name="accounts_security_kind",
                condition=Q(kind__in=_KINDS),
            ),
        ]
        indexes = [models.Index(name="accounts_security_user_at", fields=["user_id", "at"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.user_id}"
