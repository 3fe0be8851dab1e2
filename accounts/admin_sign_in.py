"""Signing in to the admin: the same names, counts, log and one hash run as in the API, for active staff.

Named in AUTHENTICATION_BACKENDS; Django's login page and each of its requests come through here.
"""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from django.utils import timezone

from accounts.api.client import client_of
from accounts.models import User
from accounts.services.credentials import InvalidCredentials
from accounts.services.sign_in import sign_in_staff
from accounts.throttles import RateLimited


class CanonicalNameBackend(ModelBackend):
    """Django's own for permissions and for the user of a session, who must still be active."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The active member of staff with this name, in any spelling, and this password."""
        if request is None:
            return None
        try:
            return sign_in_staff(
                identifier=username or "", password=password or "", client=client_of(request), now=timezone.now()
            )
        except (InvalidCredentials, RateLimited):
            return None
