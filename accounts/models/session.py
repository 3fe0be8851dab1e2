"""A session: one sign-in on one device. Each request checks this row, so ending it ends access at once."""

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from accounts.models.user import User


class Session(models.Model):
    """Open while `ended_at` is null. `device` is the client's own word for itself, cut to 200 characters."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    device = models.CharField(max_length=200, default="", blank=True)
    ip = models.GenericIPAddressField(null=True)
    auth_time = models.DateTimeField()
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(name="accounts_session_open", fields=["user"], condition=Q(ended_at__isnull=True))
        ]

    def __str__(self) -> str:
        return str(self.id)
