"""From the Authorization header to the open session: DRF's authentication, named in REST_FRAMEWORK.

The token is verified first (`tokens`), then one query finds the session and its user, so that ending either ends
access at once. A session cookie or a token in the URL counts for nothing.
"""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import observe, selectors, tokens
from accounts.models import Session, User


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>`; gives the user and the session."""

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        """None without a bearer token. Raises InvalidToken, TokenExpired, SessionRevoked."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            session = selectors.open_session(tokens.verify(token.strip()))
        except tokens.InvalidToken as refused:
            observe.record_token_refused(reason=refused.reason)
            raise
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"


class _BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # drf-spectacular is untyped
    target_class = BearerAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
