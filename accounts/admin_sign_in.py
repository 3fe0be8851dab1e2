"""Signing in to the admin: the same names, the same one hash run, the same look at the status as in the API.

Named in AUTHENTICATION_BACKENDS; Django's login page and each of its requests come through here.
"""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.models import User
from accounts.services.sign_in import InvalidCredentials, verify_password


class CanonicalNameBackend(ModelBackend):
    """Django's own for permissions and for the user of a session, who must still be active."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The active user with this name, in any spelling, and this password."""
        try:
            user = verify_password(identifier=username or "", password=password or "")
        except InvalidCredentials:
            return None
        return user if self.user_can_authenticate(user) else None
