"""What staff is told of a user: what the user sees, and what is kept of them in other places."""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.response import Response

from accounts import user_listing
from accounts.api.answers import UserAnswer
from accounts.models import User
from accounts.services.credentials import failed_logins_of

_COLUMNS = [
    *UserAnswer.Meta.fields, "is_staff", "is_superuser", "status_reason", "status_until", "delete_after",
]  # fmt: skip


class AdminUserAnswer(serializers.ModelSerializer[User]):
    """A user, as staff sees it. `failed_logins` counts those in a row; `status_reason` was given at the last move."""

    last_login_at = serializers.DateTimeField(allow_null=True)
    groups = serializers.ListField(child=serializers.CharField())
    failed_logins = serializers.IntegerField()

    class Meta:
        model = User
        fields = [*_COLUMNS, "last_login_at", "groups", "failed_logins"]
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


def told_to_staff(users: Sequence[User]) -> list[dict[str, Any]]:
    """One for each user; what stands in other tables is read once for all of them."""
    ids = [user.pk for user in users]
    last_logins, groups = user_listing.last_logins_of(ids), user_listing.groups_of(ids)
    failed = failed_logins_of(ids)
    return [
        {name: getattr(user, name) for name in _COLUMNS}
        | {
            "last_login_at": last_logins.get(user.pk),
            "groups": groups.get(user.pk, []),
            "failed_logins": failed.get(user.pk, 0),
        }
        for user in users
    ]
