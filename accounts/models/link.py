"""What a link in a mail opens: made by `outside.mail`, used by the services of passwords, addresses and lifecycle."""

from django.db import models
from django.db.models import Q

from accounts.models.user import User


class Link(models.Model):
    """The one link of its purpose that a user has; a newer one takes its place. Of those that undo there are several.

    `hash` is that of the token, which is kept nowhere. `email_canonical` is the address that the link went to: it opens
    nothing once the user has another. `email` is the address that it gives the user, where it gives one. `call_id` is
    the mail's, whose repeats carry the same link, and `asked_at` when it was owed. Used or voided, a link is spent; its
    row stays, so that no repeat of the mail makes it anew.
    """

    class Purpose(models.TextChoices):
        """What it is good for."""

        VERIFY = "verify"
        RESET = "reset"
        INVITE = "invite"
        CHANGE_EMAIL = "change_email"
        UNDO_EMAIL = "undo_email"
        RESTORE = "restore"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="links")
    purpose = models.CharField(max_length=16, choices=Purpose)
    hash = models.BinaryField(unique=True, max_length=32)
    email_canonical = models.CharField(max_length=762)
    email = models.CharField(max_length=254, db_default="", blank=True)
    call_id = models.UUIDField()
    asked_at = models.DateTimeField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    spent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="accounts_link_one", fields=["user", "purpose"], condition=~Q(purpose="undo_email")
            ),
            models.CheckConstraint(
                name="accounts_link_purpose",
                condition=Q(purpose__in=["verify", "reset", "invite", "change_email", "undo_email", "restore"]),
            ),
        ]
        indexes = [
            models.Index(
                name="accounts_link_held", fields=["email_canonical"], condition=Q(purpose="undo_email", spent_at=None)
            )
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.user_id}"
