"""What successful requests are answered with."""

from datetime import datetime
from typing import Any

from rest_framework import serializers
from rest_framework.response import Response

from accounts import tokens
from accounts.conf import AccountsSettings
from accounts.models import Session, User


class UserAnswer(serializers.ModelSerializer[User]):
    """A user, as the user sees it."""

    class Meta:
        model = User
        fields = [
            "id", "username", "email", "email_verified", "status", "display_name", "locale", "time_zone",
            "created_at", "updated_at", "version",
        ]  # fmt: skip
        read_only_fields = fields


class TokenAnswer(serializers.Serializer[Any]):
    """The answer to a sign-in. `expires_in` counts seconds."""

    user = UserAnswer()
    token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField()


class ProfileAnswer(serializers.Serializer[Any]):
    """What any signed-in user sees of another."""

    id = serializers.UUIDField()
    username = serializers.CharField()
    display_name = serializers.CharField(allow_blank=True)
    version = serializers.IntegerField()


def user_answer(user: User) -> Response:
    """200, with the version as ETag."""
    return Response(UserAnswer(user).data, headers={"ETag": f'"{user.version}"'})


def token_answer(session: Session, *, now: datetime, status: int = 200) -> Response:
    """The session's user and an access token."""
    told = {
        "user": UserAnswer(session.user).data,
        "token": tokens.issue(session, now=now),
        "token_type": "Bearer",
        "expires_in": AccountsSettings.current().access_ttl_s,
    }
    return Response(told, status=status)
