"""What is kept of registrations besides the user: requests that may come again, and those that a worker makes."""

from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class IdempotencyKey(models.Model):
    """A request that was done, by keyed hashes of its key and its body. No answer is kept, and no token.

    `user_id` is null where the answer tells nobody whether there is a user.
    """

    hash = models.BinaryField(primary_key=True, max_length=32)
    body_hash = models.BinaryField(max_length=32)
    user_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.user_id)


class PendingRegistration(models.Model):
    """A registration that was answered without telling whether its address is taken; a worker finds out."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    username = models.CharField(max_length=64)
    username_canonical = models.CharField(max_length=192)
    email = models.EmailField(max_length=254)
    email_canonical = models.CharField(max_length=762)
    display_name = models.CharField(max_length=100, default="", blank=True)
    locale = models.CharField(max_length=35)
    password = models.CharField(max_length=128)
    traceparent = models.CharField(max_length=55)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.id)


class WithheldUsername(models.Model):
    """A username that was asked for together with an address that is taken, by its keyed hash: nobody takes it.

    As it would be taken if the address had been free; else who asks for it once more would learn which it was.
    """

    hash = models.BinaryField(primary_key=True, max_length=32)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.created_at)
