"""A session is opened: what every way of signing in ends with.

Called by `sign_in`, `registration`, `passwords` and `lifecycle` (a user who comes back), in their transactions.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from accounts import opaque
from accounts.conf import AccountsSettings
from accounts.models import RefreshToken, Session, User
from accounts.models.session import Client

# When who came by a link has given the password.
NEVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session and the one refresh token that continues it, in clear: for the answer alone."""

    session: Session
    refresh_token: str = field(repr=False)

    def refresh_expires_in(self, now: datetime) -> int:
        """Seconds for which the refresh token may be used."""
        idle = timedelta(seconds=AccountsSettings.current().refresh_idle_s)
        return int(min(idle, self.session.expires_at - now).total_seconds())


def open_session(user: User, client: Client, now: datetime) -> OpenSession:
    """A new session, in the caller's transaction."""
    for_s = AccountsSettings.current().refresh_absolute_s
    session = Session.objects.open(user=user, client=client, now=now, for_s=for_s)
    return OpenSession(session, first_token(session, now))


def open_session_without_password(user: User, client: Client, now: datetime) -> OpenSession:
    """As `open_session`, for who came by a link: what needs a password given lately needs it still."""
    opened = open_session(user, client, now)
    opened.session.auth_time = NEVER
    opened.session.save(update_fields=["auth_time"])
    return opened


def first_token(session: Session, now: datetime) -> str:
    """A refresh token that follows from no other, in the caller's transaction."""
    token = opaque.random_token()
    RefreshToken.objects.create(hash=opaque.digest(token), session=session, created_at=now)
    return token
