"""POST /users/me/email, and under /users/email what the links of mails do. On to `services.addresses`."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import inputs
from accounts.api.authentication import refuse_old_sign_in, session_of
from accounts.api.client import client_of
from accounts.api.endpoint import Endpoint, PublicEndpoint
from accounts.api.schema import ACCEPTED, refuses
from accounts.services.addresses import (
    confirm_change,
    request_change,
    request_verification,
    undo_change,
    verify_email,
)


class LinkInput(inputs.StrictInput):
    """The token of the link that was mailed."""

    token = inputs.Text(write_only=True)


class ChangeEmailInput(inputs.StrictInput):
    """The address to be."""

    new_email = inputs.EmailField()


class ResendInput(inputs.StrictInput):
    """Where the link is to go."""

    email = inputs.EmailField()


class VerifyEmailView(PublicEndpoint):
    """Show that an address is one's own."""

    @extend_schema(
        operation_id="verify_email", request=LinkInput, responses={204: None}, extensions=refuses("invalid-link")
    )
    def post(self, request: Request) -> Response:
        """Use the link; nobody is signed in by it."""
        body = LinkInput.parse(request)
        verify_email(token=body.token, now=timezone.now())
        return Response(status=204)


class ChangeEmailView(Endpoint):
    """Ask for another address."""

    @extend_schema(
        operation_id="request_email_change",
        request=ChangeEmailInput,
        responses={202: ACCEPTED},
        extensions=refuses("reauthentication-required", "email-taken", "rate-limited"),
    )
    def post(self, request: Request) -> Response:
        """Mail a link to it, and a warning to the present one. It needs a password given lately."""
        body, now = ChangeEmailInput.parse(request), timezone.now()
        refuse_old_sign_in(request, now=now)
        request_change(session=session_of(request), new_email=body.new_email, client=client_of(request), now=now)
        return Response({}, status=202)


class ConfirmEmailView(PublicEndpoint):
    """Have the new address, by the link that was mailed there."""

    @extend_schema(
        operation_id="confirm_email_change",
        request=LinkInput,
        responses={204: None},
        extensions=refuses("invalid-link", "email-taken"),
    )
    def post(self, request: Request) -> Response:
        """Use the link; nobody is signed in by it."""
        body = LinkInput.parse(request)
        confirm_change(token=body.token, client=client_of(request), now=timezone.now())
        return Response(status=204)


class UndoEmailView(PublicEndpoint):
    """Have the former address back, by the link that was mailed there."""

    @extend_schema(
        operation_id="undo_email_change",
        request=LinkInput,
        responses={204: None},
        extensions=refuses("invalid-link", "email-taken"),
    )
    def post(self, request: Request) -> Response:
        """Use the link; all sessions end, and none is opened."""
        body = LinkInput.parse(request)
        undo_change(token=body.token, client=client_of(request), now=timezone.now())
        return Response(status=204)


class ResendView(PublicEndpoint):
    """Ask for that link again."""

    @extend_schema(operation_id="resend_verification", request=ResendInput, responses={202: ACCEPTED})
    def post(self, request: Request) -> Response:
        """The same answer for every address."""
        body = ResendInput.parse(request)
        request_verification(email=body.email, client=client_of(request))
        return Response({}, status=202)
