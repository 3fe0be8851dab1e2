"""What successful requests are answered with."""

from datetime import datetime
from typing import Any

from rest_framework import serializers
from rest_framework.response import Response

from accounts import tokens
from accounts.models import Session, User
from accounts.services.opening import OpenSession


class UserAnswer(serializers.ModelSerializer[User]):
    """A user, as the user sees it."""

    class Meta:
        model = User
        fields = [
            "id", "username", "email", "email_verified", "status", "display_name", "locale", "time_zone",
            "created_at", "updated_at", "version",
        ]  # fmt: skip
        read_only_fields = fields


class AccessAnswer(serializers.Serializer[Any]):
    """An access token. `expires_in` counts seconds."""

    token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField()
    session_id = serializers.UUIDField()


class RefreshAnswer(AccessAnswer):
    """Both tokens of a session. `refresh_expires_in` counts seconds."""

    refresh_token = serializers.CharField()
    refresh_expires_in = serializers.IntegerField()


class TokenAnswer(RefreshAnswer):
    """The answer to a sign-in."""

    user = UserAnswer()


class ProfileAnswer(serializers.Serializer[Any]):
    """What any signed-in user sees of another."""

    id = serializers.UUIDField()
    username = serializers.CharField()
    display_name = serializers.CharField(allow_blank=True)
    version = serializers.IntegerField()


def user_answer(user: User) -> Response:
    """200, with the version as ETag."""
    return Response(_told(user), headers={"ETag": f'"{user.version}"'})


def token_answer(opened: OpenSession, *, now: datetime, status: int = 200) -> Response:
    """The session's user and its tokens."""
    told = {"user": _told(opened.session.user), **_both_tokens(opened, now)}
    return Response(told, status=status)


def refresh_answer(opened: OpenSession, *, now: datetime) -> Response:
    """The session's tokens."""
    return Response(_both_tokens(opened, now))


def access_answer(session: Session, *, now: datetime) -> Response:
    """An access token."""
    return Response(_access_token(session, now))


def _told(user: User) -> dict[str, Any]:
    # Each member is written as it is; the serializer, which says so to the description, builds its fields at each use.
    return {name: getattr(user, name) for name in UserAnswer.Meta.fields}


def _both_tokens(opened: OpenSession, now: datetime) -> dict[str, Any]:
    refresh = {"refresh_token": opened.refresh_token, "refresh_expires_in": opened.refresh_expires_in(now)}
    return _access_token(opened.session, now) | refresh


def _access_token(session: Session, now: datetime) -> dict[str, Any]:
    return {
        "token": tokens.issue(session, now=now),
        "token_type": "Bearer",
        "expires_in": int((tokens.expires_at(session, now=now) - now).total_seconds()),
        "session_id": str(session.pk),
    }
