"""Signing in to the admin: the same names, the same one hash run, the same look at the status as in the API.

Named in AUTHENTICATION_BACKENDS; Django's login page and each of its requests come through here.
"""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from django.utils import timezone

from accounts.api.client import client_of
from accounts.models import User
from accounts.services.credentials import InvalidCredentials, authenticate, forget_failures
from accounts.throttles import RateLimited


class CanonicalNameBackend(ModelBackend):
    """Django's own for permissions and for the user of a session, who must still be active."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The active user with this name, in any spelling, and this password."""
        if request is None:
            return None
        client, now = client_of(request), timezone.now()
        try:
            user = authenticate(identifier=username or "", password=password or "", client=client, now=now)
        except (InvalidCredentials, RateLimited):
            return None
        if not self.user_can_authenticate(user):
            return None
        forget_failures(user, client)
        return user
