"""What staff is told of a user: what the user sees, and what is kept of them in other places."""

from typing import Any

from rest_framework import serializers
from rest_framework.response import Response

from accounts.models import User
from accounts.services.administration import MEMBERS, told_to_staff


class AdminUserAnswer(serializers.ModelSerializer[User]):
    """A user, as staff sees it. `failed_logins` counts those in a row; `status_reason` was given at the last move."""

    email = serializers.CharField(help_text="Empty once the user is erased.")
    last_login_at = serializers.DateTimeField(allow_null=True)
    groups = serializers.ListField(child=serializers.CharField())
    failed_logins = serializers.IntegerField()

    class Meta:
        model = User
        fields = MEMBERS
        read_only_fields = fields


class AdminUserPage(serializers.Serializer[Any]):
    """A page of users; with `count`, where that was asked for."""

    items = AdminUserAnswer(many=True)
    next = serializers.CharField(allow_null=True)
    count = serializers.IntegerField(required=False)


def admin_user_answer(user: User, *, status: int = 200, **headers: str) -> Response:
    """The user, with the version as ETag."""
    [told] = told_to_staff([user])
    return Response(told, status=status, headers={"ETag": f'"{user.version}"', **headers})
