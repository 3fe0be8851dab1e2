"""user.password_changed and user.security_alert: the user is told, and the security log keeps it."""

from collections.abc import Mapping

from accounts.event_types import UserPasswordChanged, UserSecurityAlert
from accounts.handlers.logins import readable
from accounts.models import SecurityRecord, User
from accounts.outside import notices
from accounts.outside.mail import told_time
from events.routing import Delivery

_DONE = {
    "change": {"what": "changed", "sessions": "All other sessions have ended."},
    "reset": {"what": "set by a link from a mail", "sessions": "All sessions have ended."},
    "operator": {"what": "set by an operator of the service", "sessions": "All sessions have ended."},
}
_CHANGED_KINDS = {
    "change": SecurityRecord.Kind.PASSWORD_CHANGED,
    "reset": SecurityRecord.Kind.PASSWORD_RESET,
    "operator": SecurityRecord.Kind.PASSWORD_RESET,
}
_NOTICED = {
    "refresh_token_reused": "A session of yours was ended: its token was used twice, as by somebody who has a copy.",
    "unusual_login": "There was an unusual sign-in{signs}.",
    "login_blocked": "Somebody tried to sign in too often with a wrong password, and has to wait now.",
}
_SIGNS = {
    "new_device": "from a new device",
    "new_network": "from a new network",
    "after_failures": "after several wrong passwords",
}


def mail_password_changed(event: UserPasswordChanged, delivery: Delivery) -> None:
    """Owe the user a mail about the new password."""
    _tell(event, "password_changed", _DONE[event.how], delivery)


def mail_alert(event: UserSecurityAlert, delivery: Delivery) -> None:
    """Owe the user a mail about what was noticed."""
    signs = ", ".join(_SIGNS[sign] for sign in event.signs)
    what = _NOTICED[event.kind].format(signs=f": {signs}" if signs else "")
    _tell(event, "security_alert", {"what": what}, delivery)


def log_password_changed(event: UserPasswordChanged, delivery: Delivery) -> None:
    """Keep it in the security log, once an event."""
    _log(event, _CHANGED_KINDS[event.how], delivery)


def log_alert(event: UserSecurityAlert, delivery: Delivery) -> None:
    """Keep it in the security log, once an event."""
    _log(event, event.kind, delivery)


def _tell(
    event: UserPasswordChanged | UserSecurityAlert, kind: str, facts: Mapping[str, str], delivery: Delivery
) -> None:
    at = {"at": told_time(event.at)}
    notices.request(kind=kind, user_id=event.user_id, key=delivery.key, facts={**facts, **at})


def _log(event: UserPasswordChanged | UserSecurityAlert, kind: str, delivery: Delivery) -> None:
    # An alert that our own handler publishes may come after the clean-up, which erases what is left out here.
    is_deleted = User.objects.filter(pk=event.user_id, status=User.Status.DELETED).exists()
    record = SecurityRecord(
        event_id=delivery.event_id,
        kind=kind,
        user_id=event.user_id,
        at=event.at,
        device="" if is_deleted else event.device or "",
        ip=None if is_deleted else readable(event.ip),
    )
    SecurityRecord.objects.bulk_create([record], ignore_conflicts=True)
