"""An order, and a day's sales, which its event leads to."""

from django.db import models


class Order(models.Model):
    """What somebody has ordered."""

    id = models.UUIDField(primary_key=True)
    email = models.EmailField()
    cents = models.BigIntegerField()
    placed_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.id)


class DaySales(models.Model):
    """How many orders a day had (UTC), and what they came to."""

    day = models.DateField(primary_key=True)
    orders = models.IntegerField()
    cents = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.day}: {self.orders}"
