"""POST /users/register. On to `services.registration`."""

from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import passwords
from accounts.api import inputs
from accounts.api.answers import TokenAnswer, token_answer
from accounts.api.client import client_of
from accounts.api.endpoint import PublicEndpoint
from accounts.api.idempotency import IDEMPOTENCY_KEY, request_key_of
from accounts.api.inputs import FieldError
from accounts.api.schema import ACCEPTED, refuses
from accounts.conf import AccountsSettings
from accounts.errors import FieldRefused
from accounts.services.registration import NewUser, register, request_registration


class RegisterInput(inputs.StrictInput):
    """Who wants an account."""

    username = inputs.UsernameField()
    email = inputs.EmailField()
    password = inputs.NewPasswordField(write_only=True)
    display_name = inputs.DisplayNameField(allow_blank=True, default="")
    locale = inputs.LocaleField(default="en")

    def refuse_together(self, values: Mapping[str, Any]) -> list[FieldError]:
        """No password with the user's own names in it."""
        try:
            passwords.refuse_personal(values["password"], [values["username"].text, values["email"].text])
        except FieldRefused as refused:
            return [FieldError.of("password", refused)]
        return []


class RegisterView(PublicEndpoint):
    """Sign up."""

    @extend_schema(
        operation_id="register",
        request=RegisterInput,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: TokenAnswer, 202: ACCEPTED},
        extensions=refuses(
            "username-taken",
            "email-taken",
            "rate-limited",
            "invalid-credentials",
            "account-suspended",
            "account-pending-deletion",
        ),
    )
    def post(self, request: Request) -> Response:
        """Make the account and sign in with it; where addresses are not to be revealed, take note of it."""
        body, now, key = RegisterInput.parse(request), timezone.now(), request_key_of(request, "register")
        new = NewUser(username=body.username, email=body.email, display_name=body.display_name, locale=body.locale)
        wanted = {"new": new, "password": body.password, "client": client_of(request), "key": key, "now": now}
        if not AccountsSettings.current().registration_reveals_email:
            request_registration(**wanted)
            return Response({}, status=202)
        answer = token_answer(register(**wanted), now=now, status=201)
        answer["Location"] = "/api/v1/users/me"
        return answer
