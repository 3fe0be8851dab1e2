"""The security log: what a user, or an operator looking after one, should know of."""

from django.db import models
from django.db.models import Q


class SecurityRecord(models.Model):
    """One thing noticed, once an event and kind."""

    class Kind(models.TextChoices):
        """What was noticed."""

        NEW_DEVICE = "new_device"
        PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a kind, as the next two
        PASSWORD_RESET = "password_reset"  # noqa: S105
        REFRESH_TOKEN_REUSED = "refresh_token_reused"  # noqa: S105
        LOGIN_BLOCKED = "login_blocked"

    id = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField()
    kind = models.CharField(max_length=32, choices=Kind)
    user_id = models.UUIDField()
    at = models.DateTimeField()
    device = models.CharField(max_length=200, default="", blank=True)
    ip = models.GenericIPAddressField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="accounts_security_once", fields=["event_id", "kind"]),
            models.CheckConstraint(
                name="accounts_security_kind",
                condition=Q(
                    kind__in=[
                        "new_device",
                        "password_changed",
                        "password_reset",
                        "refresh_token_reused",
                        "login_blocked",
                    ]
                ),
            ),
        ]
        indexes = [models.Index(name="accounts_security_user_at", fields=["user_id", "at"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.user_id}"
