"""GET /users/password/policy: what a form can tell before a password is sent. The rule itself is `passwords`."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoint import PublicEndpoint
from accounts.conf import AccountsSettings
from accounts.hashers import PASSWORD_MOST


class PolicyAnswer(serializers.Serializer[Any]):
    """The rule for new passwords. Lengths count code points."""

    min_length = serializers.IntegerField()
    max_length = serializers.IntegerField()
    refuses_sequences = serializers.BooleanField()
    refuses_common = serializers.BooleanField()
    refuses_breached = serializers.BooleanField()
    refuses_personal = serializers.BooleanField()


class PasswordPolicyView(PublicEndpoint):
    """The rule for new passwords."""

    @extend_schema(operation_id="password_policy", responses=PolicyAnswer)
    def get(self, request: Request) -> Response:
        """As this installation is set."""
        settings = AccountsSettings.current()
        policy = {
            "min_length": settings.password_min_length,
            "max_length": PASSWORD_MOST,
            "refuses_sequences": True,
            "refuses_common": settings.password_refuse_common,
            "refuses_breached": bool(settings.password_breached_file),
            "refuses_personal": True,
        }
        return Response(PolicyAnswer(policy).data)
