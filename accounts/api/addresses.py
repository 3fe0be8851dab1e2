"""POST /users/email/verify and /users/email/verify/resend. On to `services.addresses`."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import inputs
from accounts.api.client import client_of
from accounts.api.endpoint import PublicEndpoint
from accounts.services.addresses import request_verification, verify_email


class VerifyEmailInput(inputs.StrictInput):
    """The token of the link that was mailed."""

    token = inputs.Text(write_only=True)


class ResendInput(inputs.StrictInput):
    """Where the link is to go."""

    email = inputs.EmailField()


class VerifyEmailView(PublicEndpoint):
    """Show that an address is one's own."""

    @extend_schema(operation_id="verify_email", request=VerifyEmailInput, responses={204: None})
    def post(self, request: Request) -> Response:
        """Use the link; nobody is signed in by it."""
        body = VerifyEmailInput.parse(request)
        verify_email(token=body.token, now=timezone.now())
        return Response(status=204)


class ResendView(PublicEndpoint):
    """Ask for that link again."""

    @extend_schema(operation_id="resend_verification", request=ResendInput, responses={202: None})
    def post(self, request: Request) -> Response:
        """The same answer for every address."""
        body = ResendInput.parse(request)
        request_verification(email=body.email, client=client_of(request))
        return Response({}, status=202)
