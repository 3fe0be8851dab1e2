"""GET, PATCH and DELETE /users/me, and GET /users/{id}/profile from the cache."""

from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import inputs
from accounts.api.answers import ProfileAnswer, UserAnswer, user_answer
from accounts.api.authentication import refuse_old_sign_in, session_of
from accounts.api.endpoint import Endpoint
from accounts.api.lifecycle import LeavingAnswer, leaving_answer
from accounts.api.schema import IF_MATCH, refuses
from accounts.projections import profile_cache
from accounts.selectors import profile_of
from accounts.services.lifecycle import request_deletion
from accounts.services.profile import change_profile


class ProfileInput(inputs.StrictInput):
    """What is to be another; the rest stays."""

    display_name = inputs.DisplayNameField(allow_blank=True, allow_null=True, required=False)
    locale = inputs.LocaleField(required=False)
    time_zone = inputs.TimeZoneField(required=False)
    username = inputs.UsernameField(required=False)


class MeView(Endpoint):
    """Who is signed in."""

    @extend_schema(operation_id="get_me", responses=UserAnswer)
    def get(self, request: Request) -> Response:
        """The user, with an ETag."""
        return user_answer(session_of(request).user)

    @extend_schema(
        operation_id="change_me",
        request=ProfileInput,
        parameters=[IF_MATCH],
        responses=UserAnswer,
        extensions=refuses("username-taken", "reauthentication-required"),
    )
    def patch(self, request: Request) -> Response:
        """Change some members; another username needs a password given lately."""
        expected, now = inputs.expected_of(request), timezone.now()
        changes = vars(ProfileInput.parse(request))
        if "username" in changes:
            refuse_old_sign_in(request, now=now)
        return user_answer(change_profile(session=session_of(request), changes=changes, expected=expected, now=now))

    @extend_schema(
        operation_id="delete_me",
        request=None,
        responses={202: LeavingAnswer},
        extensions=refuses("reauthentication-required", "last-admin"),
    )
    def delete(self, request: Request) -> Response:
        """Leave. It needs a password given lately; a mail tells the way back."""
        now = timezone.now()
        refuse_old_sign_in(request, now=now)
        return leaving_answer(request_deletion(session=session_of(request), now=now))


class ProfileView(Endpoint):
    """What users see of each other."""

    @extend_schema(operation_id="get_profile", responses=ProfileAnswer)
    def get(self, request: Request, user_id: UUID) -> Response:
        """The profile, from the cache where it is there."""
        return Response(profile_cache.read(user_id, otherwise=profile_of))
