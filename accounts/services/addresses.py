"""An e-mail address is shown to be the user's, by the link that was mailed there.

Called by `api.addresses`. The first link comes with the welcome mail.
"""

from datetime import datetime

from accounts import links
from accounts.event_types import UserChanges, UserUpdated
from accounts.links import Found
from accounts.models import Link
from accounts.models.session import Client
from accounts.names import EmailAddress
from accounts.outside import notices
from accounts.services.transactions import in_transaction
from events.envelope import Actor
from events.outbox.publish import publish


def request_verification(*, email: EmailAddress, client: Client) -> None:
    """Owe a mail with a new link to whoever has this address and has not shown it yet, if anyone."""
    notices.request_by_address(kind="verify", email=email, client=client)


def verify_email(*, token: str, now: datetime) -> None:
    """Note that the link's user reads the mail of this address. Publishes user.updated. Raises InvalidLink."""
    _verify(links.find(token, Link.Purpose.VERIFY, now=now), now)


@in_transaction
def _verify(link: Found, now: datetime) -> None:
    user = links.use(link)
    if user.email_verified:
        return
    user.email_verified = True
    user.change(now=now)
    user.save(update_fields=["email_verified", "version", "updated_at"])
    publish(UserUpdated.of(user, UserChanges(email_verified=True)), actor=Actor("user", str(user.pk)))
