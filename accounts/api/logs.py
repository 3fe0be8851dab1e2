"""GET /users/me/login-log and /users/me/security-log, from `selectors`."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import selectors
from accounts.api.authentication import session_of
from accounts.api.endpoint import Endpoint
from accounts.api.inputs import MomentField
from accounts.api.pages import PageParameters, page_of
from accounts.models import LoginRecord, SecurityRecord


class LogParameters(PageParameters):
    """From when (included) to when (not)."""

    to = MomentField(default=None)

    def get_fields(self) -> dict[str, Any]:
        """`from` is no name that Python lets an attribute have."""
        return {**super().get_fields(), "from": MomentField(default=None)}


class LoginLogParameters(LogParameters):
    """And how the sign-in went."""

    outcome = serializers.ChoiceField(LoginRecord.Outcome.choices, default=None)


class LoginRecordAnswer(serializers.ModelSerializer[LoginRecord]):
    """A sign-in; `reason` says why it failed."""

    device_name = serializers.CharField(source="device")

    class Meta:
        model = LoginRecord
        fields = ["id", "at", "outcome", "reason", "session_id", "device_name", "ip"]
        read_only_fields = fields


class SecurityRecordAnswer(serializers.ModelSerializer[SecurityRecord]):
    """Something that was noticed or done."""

    device_name = serializers.CharField(source="device")

    class Meta:
        model = SecurityRecord
        fields = ["id", "at", "kind", "device_name", "ip"]
        read_only_fields = fields


class LoginLogPage(serializers.Serializer[Any]):
    """A page of the login log."""

    items = LoginRecordAnswer(many=True)
    next = serializers.CharField(allow_null=True)


class SecurityLogPage(serializers.Serializer[Any]):
    """A page of the security log."""

    items = SecurityRecordAnswer(many=True)
    next = serializers.CharField(allow_null=True)


class LoginLogView(Endpoint):
    """Who signed in, or tried to, as this user."""

    Parameters = LoginLogParameters

    @extend_schema(operation_id="get_login_log", parameters=[LoginLogParameters], responses=LoginLogPage)
    def get(self, request: Request) -> Response:
        """The newest first."""
        found = _between(selectors.login_log_of(session_of(request).user_id), vars(self.query))
        if self.query.outcome:
            found = found.filter(outcome=self.query.outcome)
        return page_of(request, self.query, found, by=["at", "id"], answer=lambda row: LoginRecordAnswer(row).data)


class SecurityLogView(Endpoint):
    """What the user should know of."""

    Parameters = LogParameters

    @extend_schema(operation_id="get_security_log", parameters=[LogParameters], responses=SecurityLogPage)
    def get(self, request: Request) -> Response:
        """The newest first."""
        found = _between(selectors.security_log_of(session_of(request).user_id), vars(self.query))
        return page_of(request, self.query, found, by=["at", "id"], answer=lambda row: SecurityRecordAnswer(row).data)


def _between(rows: QuerySet[Any], query: Mapping[str, Any]) -> QuerySet[Any]:
    if query["from"]:
        rows = rows.filter(at__gte=query["from"])
    return rows.filter(at__lt=query["to"]) if query["to"] else rows
