"""Every URL of the application, and the floor: a view that loads one row by its primary key and says nothing.

Served by gunicorn like the rest, through the same middleware. What a view of the API costs more is authentication,
the order of its refusals and its answer.
"""

from uuid import UUID

from django.urls import include, path
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User


class BareView(APIView):
    """DRF with nothing in it."""

    authentication_classes = []
    permission_classes = [AllowAny]

    def get(self, _request: Request, user_id: UUID) -> Response:
        """200 without a body, for a user that is there."""
        User.objects.get(pk=user_id)
        return Response()


urlpatterns = [
    path("api/v1/benchmark/<uuid:user_id>", BareView.as_view()),
    path("", include("usercenter.urls")),
]
