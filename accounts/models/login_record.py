"""The login log and the last login: written by `handlers.login_log` from `user.logged_in`."""

from django.db import models


class LoginRecord(models.Model):
    """One sign-in that succeeded. `network` is the address's /24 (IPv4) or /48 (IPv6)."""

    event_id = models.UUIDField(primary_key=True)
    user_id = models.UUIDField()
    at = models.DateTimeField()
    session_id = models.UUIDField()
    device = models.CharField(max_length=200)
    ip = models.GenericIPAddressField(null=True)
    network = models.CharField(max_length=43)

    class Meta:
        indexes = [models.Index(name="accounts_login_user_at", fields=["user_id", "at"])]

    def __str__(self) -> str:
        return f"{self.user_id} {self.at}"


class LastLogin(models.Model):
    """When a user last signed in; only ever moved forward."""

    user_id = models.UUIDField(primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user_id} {self.at}"
