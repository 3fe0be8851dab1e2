"""GET /users/me from the database, and GET /users/{id}/profile from the cache."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.answers import ProfileAnswer, UserAnswer, user_answer
from accounts.api.authentication import session_of
from accounts.api.endpoint import Endpoint
from accounts.projections import profile_cache
from accounts.selectors import profile_of


class MeView(Endpoint):
    """Who is signed in."""

    @extend_schema(operation_id="get_me", responses=UserAnswer)
    def get(self, request: Request) -> Response:
        """The user, with an ETag."""
        return user_answer(session_of(request).user)


class ProfileView(Endpoint):
    """What users see of each other."""

    @extend_schema(operation_id="get_profile", responses=ProfileAnswer)
    def get(self, request: Request, user_id: UUID) -> Response:
        """The profile, from the cache where it is there."""
        return Response(profile_cache.read(user_id, otherwise=profile_of))
