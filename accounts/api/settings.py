"""GET and PATCH /users/me/settings, from `selectors` and on to `services.profile`."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import selectors
from accounts.api import inputs
from accounts.api.authentication import session_of
from accounts.api.endpoint import Endpoint
from accounts.api.schema import IF_MATCH
from accounts.models import UserSettings
from accounts.services.profile import change_settings


class SettingsAnswer(serializers.ModelSerializer[UserSettings]):
    """What the user has chosen; `version` counts these settings' own changes."""

    class Meta:
        model = UserSettings
        fields = ["notify_email", "notify_sms", "version"]
        read_only_fields = fields


class SettingsInput(inputs.StrictInput):
    """What is to be another; the rest stays."""

    notify_email = inputs.StrictBoolean(required=False)
    notify_sms = inputs.StrictBoolean(required=False)


class SettingsView(Endpoint):
    """What the user wants to be told of."""

    @extend_schema(operation_id="get_settings", responses=SettingsAnswer)
    def get(self, request: Request) -> Response:
        """With an ETag of their own."""
        return _answer(selectors.settings_of(session_of(request).user_id))

    @extend_schema(
        operation_id="change_settings", request=SettingsInput, parameters=[IF_MATCH], responses=SettingsAnswer
    )
    def patch(self, request: Request) -> Response:
        """Change some."""
        expected = inputs.expected_of(request)
        changes = vars(SettingsInput.parse(request))
        return _answer(
            change_settings(session=session_of(request), changes=changes, expected=expected, now=timezone.now())
        )


def _answer(settings: UserSettings) -> Response:
    return Response(SettingsAnswer(settings).data, headers={"ETag": f'"{settings.version}"'})
