"""POST /users/restore, and what anyone who leaves is answered. On to `services.lifecycle`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import inputs
from accounts.api.answers import TokenAnswer, token_answer
from accounts.api.client import client_of
from accounts.api.endpoint import PublicEndpoint
from accounts.api.schema import refuses
from accounts.models import User
from accounts.models.session import Client
from accounts.services.lifecycle import restore_by_link, restore_by_password
from accounts.services.opening import OpenSession


class LeavingAnswer(serializers.Serializer[Any]):
    """Until when the account can be restored."""

    status = serializers.ChoiceField(User.Status.choices)
    delete_after = serializers.DateTimeField(allow_null=True)


class RestoreInput(inputs.StrictInput):
    """The token of the link that was mailed, or name and password; these are judged as at sign-in."""

    token = inputs.Text(write_only=True, default=None)
    identifier = inputs.Text(allow_blank=True, default=None)
    password = inputs.Text(allow_blank=True, write_only=True, default=None)

    def refuse_together(self, values: Mapping[str, Any]) -> list[inputs.FieldError]:
        """One of the two ways, and that whole."""
        given = {name for name, value in values.items() if value is not None}
        if given in ({"token"}, {"identifier", "password"}):
            return []
        if "token" in given:
            return [
                inputs.FieldError(inputs.pointer(name), "only_one_of", "Either token, or identifier and password.")
                for name in sorted(given - {"token"})
            ]
        missing = sorted({"identifier", "password"} - given) if given else ["token"]
        return [inputs.FieldError(inputs.pointer(name), "required", "This field is required.") for name in missing]


class RestoreView(PublicEndpoint):
    """Take the deletion of an account back."""

    @extend_schema(
        operation_id="restore_me",
        request=RestoreInput,
        responses=TokenAnswer,
        extensions=refuses("invalid-link", "invalid-credentials", "account-suspended", "invalid-state", "rate-limited"),
    )
    def post(self, request: Request) -> Response:
        """The account is what it was, and its user is signed in."""
        body, now = RestoreInput.parse(request), timezone.now()
        return token_answer(_restore(body, client_of(request), now), now=now)


def leaving_answer(user: User, **headers: str) -> Response:
    """202: the deletion goes on by itself."""
    return Response({"status": user.status, "delete_after": user.delete_after}, status=202, headers=headers)


def _restore(body: Any, client: Client, now: datetime) -> OpenSession:
    if body.token is not None:
        return restore_by_link(token=body.token, client=client, now=now)
    return restore_by_password(identifier=body.identifier, password=body.password, client=client, now=now)
