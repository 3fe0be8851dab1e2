"""The tables of this app, one noun a file."""

from accounts.models.figure import Figure
from accounts.models.link import Link
from accounts.models.login_record import LastLogin, LoginRecord
from accounts.models.outside_call import OutsideCall
from accounts.models.registration import IdempotencyKey, PendingRegistration, WithheldUsername
from accounts.models.security_record import SecurityRecord
from accounts.models.session import RefreshToken, Session
from accounts.models.settings import UserSettings
from accounts.models.throttle import Throttle
from accounts.models.unguarded_change import UnguardedChange
from accounts.models.user import User

__all__ = [
    "Figure",
    "IdempotencyKey",
    "LastLogin",
    "Link",
    "LoginRecord",
    "OutsideCall",
    "PendingRegistration",
    "RefreshToken",
    "SecurityRecord",
    "Session",
    "Throttle",
    "UnguardedChange",
    "User",
    "UserSettings",
    "WithheldUsername",
]
