"""The API's own description: /api/v1/openapi.json and, for people, /api/v1/docs. Served unless API_DOCS is off.

drf-spectacular makes both from the views; nothing is loaded from another host.
"""

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

# The page's script is an answer of its own, so that no inline script need be let through; styles are inline.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
}


class SchemaView(SpectacularJSONAPIView):
    """OpenAPI 3.1, which may be kept for a while."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The description."""
        answer: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]  # it has no types
        answer["Cache-Control"] = "max-age=300"
        return answer


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI."""

    url_name = "openapi"

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The page, or its script."""
        answer: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]  # it has no types
        for name, value in PAGE_HEADERS.items():
            answer[name] = value
        return answer


urlpatterns = [
    path("openapi.json", SchemaView.as_view(), name="openapi"),
    path("docs", DocsView.as_view(), name="docs"),
]
