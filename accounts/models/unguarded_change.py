"""The log of `accounts_unguarded(reason)`, the one way round the users table's triggers."""

from django.db import models
from django.db.models.functions import Now


class UnguardedChange(models.Model):
    """Someone changed users without events, for a reason: a restore, an import, an erasure."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    role = models.TextField()
    reason = models.TextField()

    def __str__(self) -> str:
        return self.reason
