"""user.status_changed: the user is told."""

from accounts.event_types import UserStatusChanged
from accounts.models import User
from accounts.outside import notices
from accounts.outside.mail import told_time
from events.routing import Delivery

# By where the user was and is now; what leads to `deleted` is told by the clean-up.
_KINDS = {
    ("active", "suspended"): "suspended",
    ("suspended", "active"): "reactivated",
    ("active", "pending_deletion"): "pending_deletion",
    ("suspended", "pending_deletion"): "pending_deletion",
    ("pending_deletion", "active"): "restored",
    ("pending_deletion", "suspended"): "restored",
}


def tell_status(event: UserStatusChanged, delivery: Delivery) -> None:
    """Owe the user one mail about the new status, unless it is another by now: a later event tells of that.

    The event is a hint: reason and time are the row's. The address and the link are read when the mail is sent.
    """
    user = User.objects.filter(pk=event.user_id, status=event.to).first()
    if user is None:
        return
    now = UserStatusChanged.of(user, former=event.former)
    facts = {"reason": now.reason or "", "until": told_time(now.until) if now.until else ""}
    notices.request(kind=_KINDS[event.former, event.to], user_id=event.user_id, key=delivery.key, facts=facts)
