"""What is owed to the outside: one mail or HTTP request that a handler or service promised.

Written in the transaction of what it tells of, by `outside.notices`; taken, made and settled by `outside.calls`.
"""

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7


class OutsideCall(models.Model):
    """One call owed. Pending until `settled_at`; given up when `failed_at` is set.

    `error` says why the last attempt failed, or why a settled call was skipped: by class and code, never more.
    `key` is the caller's idempotency key: a second request with it owes nothing more. `id` goes along with the call
    (Message-ID, webhook-id), so that a repeat can be told by the receiver. `next_attempt_at` is also the lease: whoever
    takes the call moves it on, and a taker that dies is followed by another after it.

    With a `user_id` alone it goes to that user, at the address that the row has by then; with an `email` too it goes
    there, at that user's word (a change of address). With an `email` alone it goes to whoever has that address when it
    is made; a few kinds go to it whoever has it. With neither it is a webhook that tells of a deletion. `email` is
    blanked at the call's end.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    key = models.CharField(max_length=128, unique=True)
    kind = models.CharField(max_length=32)
    user_id = models.UUIDField(null=True)
    email = models.CharField(max_length=254, db_default="", blank=True)
    facts = models.JSONField(default=dict)
    traceparent = models.CharField(max_length=55)
    created_at = models.DateTimeField()
    attempts = models.SmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    error = models.TextField(default="", blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="accounts_outside_call_one_end",
                condition=Q(settled_at__isnull=True) | Q(failed_at__isnull=True),
            ),
        ]
        indexes = [
            models.Index(
                name="accounts_outside_call_due",
                fields=["next_attempt_at"],
                condition=Q(settled_at__isnull=True, failed_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
