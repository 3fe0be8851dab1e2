"""GET /admin/users/{id}/login-log and /security-log: what the user sees, and who did it on the user's behalf."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import user_listing
from accounts.api.logs import (
    LoginLogPage,
    LoginLogParameters,
    LogParameters,
    SecurityRecordAnswer,
    login_log_page,
    security_log_page,
)
from accounts.api.permissions import VIEW, AdminEndpoint


class AdminSecurityRecordAnswer(SecurityRecordAnswer):
    """Something that was noticed or done; `actor_id` is the administrator who did it, `reason` why."""

    class Meta(SecurityRecordAnswer.Meta):
        fields = [*SecurityRecordAnswer.Meta.fields, "actor_id", "reason"]
        read_only_fields = fields


class AdminSecurityLogPage(serializers.Serializer[Any]):
    """A page of a user's security log."""

    items = AdminSecurityRecordAnswer(many=True)
    next = serializers.CharField(allow_null=True)


class UserLoginLogView(AdminEndpoint):
    """Who signed in, or tried to, as this user."""

    Parameters = LoginLogParameters
    needs = {"GET": VIEW}

    @extend_schema(operation_id="get_user_login_log", parameters=[LoginLogParameters], responses=LoginLogPage)
    def get(self, request: Request, user_id: UUID) -> Response:
        """The newest first."""
        return login_log_page(request, self.query, user_listing.user_with_id(user_id).pk)


class UserSecurityLogView(AdminEndpoint):
    """What was noticed or done about this user."""

    Parameters = LogParameters
    needs = {"GET": VIEW}

    @extend_schema(operation_id="get_user_security_log", parameters=[LogParameters], responses=AdminSecurityLogPage)
    def get(self, request: Request, user_id: UUID) -> Response:
        """The newest first."""
        user = user_listing.user_with_id(user_id)
        return security_log_page(request, self.query, user.pk, AdminSecurityRecordAnswer)
