"""From the Authorization header to the open session: DRF's authentication, named in REST_FRAMEWORK.

The token is verified first (`tokens`), then one query finds the session and its user, so that ending either ends
access at once. A session cookie or a token in the URL counts for nothing.
"""

from datetime import UTC, datetime, timedelta

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from accounts import observe, selectors, tokens
from accounts.conf import AccountsSettings
from accounts.errors import Refused
from accounts.models import Session, User


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>`; gives the user and the session."""

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        """None without a bearer token. Raises InvalidToken, TokenExpired, SessionRevoked."""
        if not is_bearer(request):
            return None
        session = selectors.open_session(claims_of(request), now=timezone.now())
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"


def session_of(request: Request) -> Session:
    """The session of who is signed in, with its user."""
    session: Session = request.auth  # type: ignore[assignment]  # the stubs know DRF's own tokens alone
    return session


class ReauthenticationRequired(Refused):
    """The password was given too long ago for this."""


def refuse_old_sign_in(request: Request, *, now: datetime) -> None:
    """Raises ReauthenticationRequired unless this very token says that the password was given lately.

    Not the session's row: who has an older token of it must not gain by its owner's giving the password.
    """
    within = timedelta(seconds=AccountsSettings.current().reauth_within_s)
    if datetime.fromtimestamp(claims_of(request).auth_time, UTC) + within <= now:
        raise ReauthenticationRequired


def is_bearer(request: Request) -> bool:
    """Whether there is a bearer token at all."""
    return request.headers.get("Authorization", "").partition(" ")[0].lower() == "bearer"


def claims_of(request: Request) -> tokens.AccessClaims:
    """What the bearer token says. Raises NotAuthenticated without one, InvalidToken, TokenExpired."""
    if not is_bearer(request):
        raise NotAuthenticated
    try:
        return tokens.verify(request.headers["Authorization"].partition(" ")[2].strip())
    except tokens.InvalidToken as refused:
        observe.record_token_refused(reason=refused.reason)
        raise


class _BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # drf-spectacular is untyped
    target_class = BearerAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
