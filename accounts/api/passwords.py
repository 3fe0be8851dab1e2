"""POST /users/me/password, /users/password/reset and its confirmation. On to `services.passwords`."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import inputs
from accounts.api.answers import TokenAnswer, token_answer
from accounts.api.authentication import session_of
from accounts.api.client import client_of
from accounts.api.endpoint import Endpoint, PublicEndpoint
from accounts.api.schema import ACCEPTED, refuses
from accounts.services.passwords import change_password, confirm_reset, request_reset


class ChangePasswordInput(inputs.StrictInput):
    """The password as it is, and the one to be."""

    current_password = inputs.Text(allow_blank=True, write_only=True)
    new_password = inputs.NewPasswordField(write_only=True)


class ResetPasswordInput(inputs.StrictInput):
    """Where the link is to go."""

    email = inputs.EmailField()


class ConfirmResetInput(inputs.StrictInput):
    """The token of the link, and the password to be."""

    token = inputs.Text(write_only=True)
    # Looked at once the link is known to be good.
    new_password = inputs.Text(write_only=True)


class ChangePasswordView(Endpoint):
    """Change the password."""

    @extend_schema(
        operation_id="change_password",
        request=ChangePasswordInput,
        responses=TokenAnswer,
        extensions=refuses("invalid-credentials", "rate-limited"),
    )
    def post(self, request: Request) -> Response:
        """Set the new one, end all other sessions, and give this one new tokens."""
        body, now = ChangePasswordInput.parse(request), timezone.now()
        with inputs.refusal_about("new_password"):
            opened = change_password(
                session=session_of(request),
                current_password=body.current_password,
                new_password=body.new_password,
                client=client_of(request),
                now=now,
            )
        return token_answer(opened, now=now)


class ResetPasswordView(PublicEndpoint):
    """Ask for a link that sets a new password."""

    @extend_schema(operation_id="request_password_reset", request=ResetPasswordInput, responses={202: ACCEPTED})
    def post(self, request: Request) -> Response:
        """The same answer for every address."""
        body = ResetPasswordInput.parse(request)
        request_reset(email=body.email, client=client_of(request))
        return Response({}, status=202)


class ConfirmResetView(PublicEndpoint):
    """Use that link."""

    @extend_schema(
        operation_id="confirm_password_reset",
        request=ConfirmResetInput,
        responses={204: None},
        extensions=refuses("invalid-link"),
    )
    def post(self, request: Request) -> Response:
        """Set the new password; all sessions end, and none is opened."""
        body, now = ConfirmResetInput.parse(request), timezone.now()
        with inputs.refusal_about("new_password"):
            confirm_reset(token=body.token, new_password=body.new_password, client=client_of(request), now=now)
        return Response(status=204)
