"""POST /users/register. On to `services.registration`."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import inputs
from accounts.api.answers import TokenAnswer, token_answer
from accounts.api.client import client_of
from accounts.api.endpoint import PublicEndpoint
from accounts.services.registration import NewUser, register


class RegisterInput(inputs.StrictInput):
    """Who wants an account."""

    username = inputs.UsernameField()
    email = inputs.EmailField()
    password = inputs.NewPasswordField(write_only=True)
    display_name = inputs.DisplayNameField(allow_blank=True, default="")
    locale = inputs.LocaleField(default="en")


class RegisterView(PublicEndpoint):
    """Sign up."""

    @extend_schema(operation_id="register", request=RegisterInput, responses={201: TokenAnswer})
    def post(self, request: Request) -> Response:
        """Make the account and sign in with it."""
        body, now = RegisterInput.parse(request), timezone.now()
        new = NewUser(username=body.username, email=body.email, display_name=body.display_name, locale=body.locale)
        session = register(new=new, password=body.password, client=client_of(request), now=now)
        answer = token_answer(session, now=now, status=201)
        answer["Location"] = "/api/v1/users/me"
        return answer
