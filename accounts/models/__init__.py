"""The tables of this app, one noun a file."""

from accounts.models.figure import Figure
from accounts.models.login_record import LastLogin, LoginRecord
from accounts.models.outside_call import OutsideCall
from accounts.models.security_record import SecurityRecord
from accounts.models.session import Session
from accounts.models.settings import UserSettings
from accounts.models.unguarded_change import UnguardedChange
from accounts.models.user import User

__all__ = [
    "Figure",
    "LastLogin",
    "LoginRecord",
    "OutsideCall",
    "SecurityRecord",
    "Session",
    "UnguardedChange",
    "User",
    "UserSettings",
]
