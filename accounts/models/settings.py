"""What a user has chosen. Without a row the defaults hold; `handlers.settings` writes the first one."""

from django.db import models


class UserSettings(models.Model):
    """One user's choices; `version` counts their own changes."""

    user_id = models.UUIDField(primary_key=True)
    notify_email = models.BooleanField(default=True)
    notify_sms = models.BooleanField(default=False)
    version = models.BigIntegerField(default=1)

    def __str__(self) -> str:
        return str(self.user_id)
