"""GET /users/me/login-log and /users/me/security-log, from `selectors`."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

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
    """From when (included) to when (not). All that the security log can be narrowed by: it has no outcomes."""

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
    reason = serializers.ChoiceField([*LoginRecord.Reason.choices, ("", "It did not fail")])

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
        return login_log_page(request, self.query, session_of(request).user_id)


class SecurityLogView(Endpoint):
    """What the user should know of."""

    Parameters = LogParameters

    @extend_schema(operation_id="get_security_log", parameters=[LogParameters], responses=SecurityLogPage)
    def get(self, request: Request) -> Response:
        """The newest first."""
        return security_log_page(request, self.query, session_of(request).user_id)


def login_log_page(request: Request, query: Any, user_id: UUID) -> Response:
    """Sign-ins of this user, the newest first."""
    found = _between(selectors.login_log_of(user_id), vars(query))
    if query.outcome:
        found = found.filter(outcome=query.outcome)
    return _log_page(request, query, found, LoginRecordAnswer)


def security_log_page(
    request: Request, query: Any, user_id: UUID, answer: type[SecurityRecordAnswer] = SecurityRecordAnswer
) -> Response:
    """The security log of this user, the newest first."""
    return _log_page(request, query, _between(selectors.security_log_of(user_id), vars(query)), answer)


def _log_page(
    request: Request, query: Any, rows: QuerySet[Any], answer: type[serializers.ModelSerializer[Any]]
) -> Response:
    return page_of(request, query, rows, by=["-at", "-id"], answers=lambda page: [answer(row).data for row in page])


def _between(rows: QuerySet[Any], query: Mapping[str, Any]) -> QuerySet[Any]:
    if query["from"]:
        rows = rows.filter(at__gte=query["from"])
    return rows.filter(at__lt=query["to"]) if query["to"] else rows
