"""The API's own description: /api/v1/openapi.json and, for people, /api/v1/docs and /api/v1/redoc.

Served unless API_DOCS is off. drf-spectacular makes all from the views; nothing is loaded from another host.
"""

from functools import cache
from typing import Any

from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularRedocView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

# The pages' scripts are answers of their own, so that no inline script need be let through; styles are inline. Redoc
# searches in a worker that it makes of its own script.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; worker-src blob:; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
}


class SchemaView(SpectacularJSONAPIView):
    """OpenAPI 3.1, which may be kept for a while."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The description, in which no parameter has a say: drf-spectacular's own would put one into a header."""
        return Response(_description(), headers={"Cache-Control": "max-age=300"})


@cache
def _description() -> Any:
    """Made once: it takes a second, and anyone may ask."""
    return SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]  # it has no types


class _Page(APIView):
    """A page beside the API, under a policy of its own."""

    url_name = "openapi"

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The page, or its script."""
        answer: Response = super().get(request, *args, **kwargs)  # type: ignore[misc]  # the page's own
        for name, value in PAGE_HEADERS.items():
            answer[name] = value
        return answer


class DocsView(_Page, SpectacularSwaggerSplitView):
    """Swagger UI, to try things."""


class RedocView(_Page, SpectacularRedocView):
    """Redoc, to read."""

    template_name = "redoc.html"


urlpatterns = [
    path("openapi.json", SchemaView.as_view(), name="openapi"),
    path("docs", DocsView.as_view(), name="docs"),
    path("redoc", RedocView.as_view(), name="redoc"),
]
