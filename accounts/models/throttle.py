"""How often something was tried lately: written by `accounts.throttles` alone."""

from django.db import models


class Throttle(models.Model):
    """A count until `ends_at`; then it begins anew. `key` is a quota's name and the keyed hash of what is counted."""

    key = models.CharField(primary_key=True, max_length=128)
    count = models.IntegerField()
    ends_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(name="accounts_throttle_ends", fields=["ends_at"])]

    def __str__(self) -> str:
        return self.key.partition(":")[0]
