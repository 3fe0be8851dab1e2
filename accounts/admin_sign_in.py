"""Signing in to the admin: the same names, counts, log and one hash run as in the API, for active staff.

Named in AUTHENTICATION_BACKENDS, MIDDLEWARE and `usercenter.urls`; Django's login page and each of its requests come
through here. The cookie is Django's, and is worth as much as the session's row that it stands for: whatever ends a
user's sessions ends these.
"""

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin, auth
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from accounts.api.client import client_of
from accounts.conf import AccountsSettings
from accounts.models import Session, User
from accounts.services import sessions
from accounts.services.credentials import InvalidCredentials
from accounts.services.sign_in import sign_in_staff
from accounts.throttles import RateLimited

# Where Django's session names ours.
_SESSION = "accounts_session"


class CanonicalNameBackend(ModelBackend):
    """Django's own for permissions and for the user of a session, who must still be active."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The active member of staff with this name, in any spelling, and this password; Django's `login` is next."""
        if request is None:
            return None
        try:
            session = sign_in_staff(
                identifier=username or "",
                password=password or "",
                client=client_of(request),
                now=timezone.now(),
                for_s=_lasts_s(request),
            )
        except (InvalidCredentials, RateLimited):
            return None
        _end_session(request)
        # Nothing of who was signed in here before; `login` gives it another key.
        request.session.flush()
        request.session[_SESSION] = str(session.pk)
        return session.user


class StaffMiddleware(AuthenticationMiddleware):
    """Django's own, but that `request.user` is nobody once the session has ended. The API does not ask for it."""

    def process_request(self, request: HttpRequest) -> None:
        """Looked up where it is asked for."""
        super().process_request(request)
        request.user = SimpleLazyObject(partial(_signed_in, request))  # type: ignore[assignment]  # as Django does


def log_out(request: HttpRequest) -> HttpResponse:
    """End the session, and go on as Django's own page."""
    if request.method == "POST":
        _end_session(request)
    return admin.site.logout(request)


def _signed_in(request: HttpRequest) -> User | AnonymousUser:
    user, session_id = auth.get_user(request), request.session.get(_SESSION)
    if isinstance(user, User) and session_id and _is_open(session_id, user):
        user.acts_in = UUID(session_id)
        return user
    return AnonymousUser()


def _is_open(session_id: str, user: User) -> bool:
    return Session.objects.alive(now=timezone.now()).filter(pk=session_id, user=user).exists()


def _end_session(request: HttpRequest) -> None:
    if isinstance(request.user, User) and request.user.acts_in:
        sessions.log_out(user_id=request.user.pk, session_id=request.user.acts_in, now=timezone.now())


def _lasts_s(request: HttpRequest) -> int:
    """As long as the cookie; but one that nothing has continued for so long is shown to its user as none."""
    return min(request.session.get_expiry_age(), AccountsSettings.current().refresh_idle_s)
