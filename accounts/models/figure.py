"""Figures: counts of what happened a day, kept by `handlers.figures`."""

from django.db import models


class Figure(models.Model):
    """How often `kind` happened on `day` (UTC)."""

    pk = models.CompositePrimaryKey("day", "kind")
    day = models.DateField()
    kind = models.CharField(max_length=32)
    n = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.day} {self.kind} {self.n}"
