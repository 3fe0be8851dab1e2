"""POST /users/login and /users/reauthenticate. On to `services.sign_in`."""

from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import inputs
from accounts.api.answers import AccessAnswer, TokenAnswer, access_answer, token_answer
from accounts.api.authentication import session_of
from accounts.api.client import client_of
from accounts.api.endpoint import Endpoint, PublicEndpoint
from accounts.api.schema import refuses
from accounts.services.sign_in import reauthenticate, sign_in

NAMES = ("identifier", "username", "email")


class LoginInput(inputs.StrictInput):
    """A name and its password. Neither is judged here: an empty or endless one is simply wrong (401)."""

    identifier = inputs.Text(allow_blank=True, default=None)
    username = inputs.Text(allow_blank=True, default=None)
    email = inputs.Text(allow_blank=True, default=None)
    password = inputs.Text(allow_blank=True, write_only=True)
    device_name = inputs.Text(allow_blank=True, default="")

    def refuse_together(self, values: Mapping[str, Any]) -> list[inputs.FieldError]:
        """One name, by whichever member."""
        given = [name for name in NAMES if values[name] is not None]
        if not given:
            return [inputs.FieldError("/identifier", "required", "This field is required.")]
        return [
            inputs.FieldError(inputs.pointer(name), "only_one_of", f"Only one of {', '.join(NAMES)}.")
            for name in given[1:]
        ]


class LoginView(PublicEndpoint):
    """Sign in."""

    @extend_schema(
        operation_id="login",
        request=LoginInput,
        responses={200: TokenAnswer},
        extensions=refuses("invalid-credentials", "account-suspended", "account-pending-deletion", "rate-limited"),
    )
    def post(self, request: Request) -> Response:
        """Open a session."""
        body, now = LoginInput.parse(request), timezone.now()
        identifier = next(getattr(body, name) for name in NAMES if getattr(body, name) is not None)
        client = client_of(request, device_name=body.device_name)
        opened = sign_in(identifier=identifier, password=body.password, client=client, now=now)
        return token_answer(opened, now=now)


class ReauthenticateInput(inputs.StrictInput):
    """The password, once more."""

    password = inputs.Text(allow_blank=True, write_only=True)


class ReauthenticateView(Endpoint):
    """Say again who it is."""

    @extend_schema(
        operation_id="reauthenticate",
        request=ReauthenticateInput,
        responses=AccessAnswer,
        extensions=refuses("invalid-credentials", "rate-limited"),
    )
    def post(self, request: Request) -> Response:
        """An access token of this session whose `auth_time` is now."""
        body, now = ReauthenticateInput.parse(request), timezone.now()
        session = reauthenticate(
            session=session_of(request), password=body.password, client=client_of(request), now=now
        )
        return access_answer(session, now=now)
