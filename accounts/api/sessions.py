"""Sessions: POST /users/refresh, /users/logout, /users/logout-all; GET and DELETE under /users/me/sessions.

On to `services.sessions` and `selectors`.
"""

from functools import lru_cache
from typing import Any
from uuid import UUID

import ua_parser
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import selectors
from accounts.api import inputs
from accounts.api.answers import RefreshAnswer, refresh_answer
from accounts.api.authentication import claims_of, session_of
from accounts.api.client import client_of
from accounts.api.endpoint import Endpoint, PublicEndpoint
from accounts.api.pages import PageParameters, page_of
from accounts.api.schema import refuses
from accounts.models import Session
from accounts.services import sessions

# For the description: a bearer token, or none.
EITHER_TOKEN: Any = [{"bearer": []}, {}]


class RefreshInput(inputs.StrictInput):
    """The refresh token."""

    refresh_token = inputs.Text(write_only=True)


class LogoutInput(inputs.StrictInput):
    """The refresh token, in place of the access token in the header."""

    refresh_token = inputs.Text(write_only=True, default=None)


class SessionAnswer(serializers.Serializer[Any]):
    """A session, as its user sees it; `current` is the one that asks."""

    id = serializers.UUIDField()
    device_name = serializers.CharField(allow_blank=True)
    browser = serializers.CharField(allow_null=True)
    os = serializers.CharField(allow_null=True)
    ip = serializers.IPAddressField(allow_null=True)
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField()
    current = serializers.BooleanField()


class SessionPage(serializers.Serializer[Any]):
    """A page of sessions."""

    items = SessionAnswer(many=True)
    next = serializers.CharField(allow_null=True)


class RefreshView(PublicEndpoint):
    """Go on with a session."""

    @extend_schema(
        operation_id="refresh",
        request=RefreshInput,
        responses=RefreshAnswer,
        extensions=refuses("invalid-token", "session-revoked", "refresh-token-reused"),
    )
    def post(self, request: Request) -> Response:
        """New tokens for the one that is spent by this."""
        body, now = RefreshInput.parse(request), timezone.now()
        opened = sessions.refresh(token=body.refresh_token, client=client_of(request), now=now)
        return refresh_answer(opened, now=now)


class LogoutView(PublicEndpoint):
    """Sign out."""

    @extend_schema(
        operation_id="logout",
        request=LogoutInput,
        responses={204: None},
        auth=EITHER_TOKEN,
        extensions=refuses("invalid-token", "token-expired"),
    )
    def post(self, request: Request) -> Response:
        """End the session of the refresh token or, without one, of the access token; also one that has ended."""
        body = LogoutInput.parse(request)
        user_id, session_id = _named(body.refresh_token, request)
        sessions.log_out(user_id=user_id, session_id=session_id, now=timezone.now())
        return Response(status=204)


class LogoutAllView(Endpoint):
    """Sign out everywhere."""

    @extend_schema(operation_id="logout_all", request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """End all sessions, this one too."""
        inputs.NoBody.parse(request)
        sessions.log_out_of_all(user_id=session_of(request).user_id, now=timezone.now())
        return Response(status=204)


class SessionsView(Endpoint):
    """Where the user is signed in."""

    Parameters = PageParameters

    @extend_schema(operation_id="list_sessions", parameters=[PageParameters], responses=SessionPage)
    def get(self, request: Request) -> Response:
        """Open sessions, the newest first."""
        return session_page(request, self.query, session_of(request).user_id)

    @extend_schema(operation_id="end_other_sessions", request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """End all but this one."""
        sessions.log_out_of_others(
            user_id=session_of(request).user_id, session_id=session_of(request).pk, now=timezone.now()
        )
        return Response(status=204)


class SessionView(Endpoint):
    """One session of the user."""

    @extend_schema(operation_id="end_session", request=None, responses={204: None})
    def delete(self, request: Request, session_id: UUID) -> Response:
        """End it."""
        sessions.end_one(user_id=session_of(request).user_id, session_id=session_id, now=timezone.now())
        return Response(status=204)


def session_page(request: Request, query: Any, user_id: UUID) -> Response:
    """Open sessions of this user, the newest first."""
    found, current = selectors.open_sessions_of(user_id, now=timezone.now()), session_of(request)
    return page_of(request, query, found, by=["-id"], answers=lambda page: [_told(one, current) for one in page])


def session_answer(request: Request, user_id: UUID, session_id: UUID) -> Response:
    """One of them. Raises SessionNotFound."""
    found = selectors.open_sessions_of(user_id, now=timezone.now()).filter(pk=session_id).first()
    if found is None:
        raise sessions.SessionNotFound
    return Response(_told(found, session_of(request)))


def _named(refresh_token: str | None, request: Request) -> tuple[UUID, UUID]:
    """User and session of the token that came. The session's row is not asked: signing out twice is fine."""
    if refresh_token is not None:
        session = sessions.session_of(refresh_token)
        return session.user_id, session.pk
    claims = claims_of(request)
    return claims.user_id, claims.session_id


def _told(session: Session, current: Session) -> dict[str, Any]:
    browser, system = _browser_and_system(session.user_agent)
    return {
        "id": str(session.pk),
        "device_name": session.device,
        "browser": browser,
        "os": system,
        "ip": session.ip,
        "created_at": session.created_at,
        "last_used_at": session.last_used_at,
        "current": session.pk == current.pk,
    }


@lru_cache(maxsize=1024)
def _browser_and_system(user_agent: str) -> tuple[str | None, str | None]:
    found = ua_parser.parse(user_agent)
    return found.user_agent.family if found.user_agent else None, found.os.family if found.os else None
