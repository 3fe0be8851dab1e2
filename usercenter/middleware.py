"""What happens around every request, from the outside in: its trace and id, then what is refused for all of them.

`settings.MIDDLEWARE` has the order. The views come after; `accounts.api.problems` has the form of every error.
"""

import re
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django_prometheus.middleware import PrometheusAfterMiddleware  # type: ignore[import-untyped]  # it has no types

from accounts.api.problems import BY_STATUS, MEDIA_TYPE, Answer, answer_and_log, problem
from accounts.errors import Busy
from events.trace import following
from usercenter.logs import record_request

REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
ACCEPT_MOST = 1024
CALLERS_FAULT, SERVERS_FAULT = 400, 500
PROBES = ("/healthz", "/readyz", "/metrics")
API = re.compile(r"/(?:api|\.well-known)(?:/|$)|/(?:healthz|readyz|metrics)$")
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
        "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )
}
API_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}

Respond = Callable[[HttpRequest], HttpResponseBase]


class TraceMiddleware:
    """Gives the request its trace and its id, and the log one line of it."""

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Everything within runs under the trace that `traceparent` names, or a new one."""
        began = time.monotonic()
        asked_for = request.headers.get("X-Request-ID", "")
        request_id = asked_for if REQUEST_ID.fullmatch(asked_for) else str(uuid4())
        request.request_id = request_id  # type: ignore[attr-defined]  # problems.py puts it into its answers
        with following(request.headers.get("traceparent")):
            response = self.get_response(request)
            response["X-Request-ID"] = request_id
            ms = (time.monotonic() - began) * 1000
            record_request(request, route=route_of(request), status=response.status_code, ms=ms)
        return response


class AnswerMiddleware:
    """Each answer says how it may be used, whoever within gave it; a preflight's and a refusal's, too."""

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Plain http is refused before a browser learns that it may send its secrets (by CORS)."""
        is_api = API.match(request.path) is not None
        response: HttpResponseBase = (_insecure(request) if is_api else None) or self.get_response(request)
        for name, value in (API_HEADERS if is_api else PAGE_HEADERS).items():
            response.headers.setdefault(name, value)
        return response


class ProblemMiddleware:
    """Whatever goes wrong under the API's paths, also before or outside a view, is answered as a problem."""

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Refuses what no view should see."""
        response = _refused(request) or self.get_response(request)
        return _as_problem(request, response) if API.match(request.path) else response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A view outside DRF met a database that is away, or too many others: not our fault, not for ever."""
        if isinstance(exception, OperationalError | InterfaceError | Busy):
            return problem(request, answer_and_log(exception))
        return None


class SiteMiddleware(CommonMiddleware):
    """Django's own, but that a probe may come under any host name: it asks by address."""

    def process_request(self, request: HttpRequest) -> Any:
        """Refuses unknown hosts."""
        return None if request.path in PROBES else super().process_request(request)


class MetricsMiddleware(PrometheusAfterMiddleware):  # type: ignore[misc]  # django-prometheus is untyped
    """django-prometheus with closed sets of labels: nobody can make the series grow by asking for odd things."""

    METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})

    def label_metric(self, metric: Any, request: HttpRequest, response: Any = None, **labels: str) -> Any:
        """The route's pattern for the view, `other` for an unknown method."""
        if "method" in labels:
            labels["method"] = request.method if request.method in self.METHODS else "other"
        if "view" in labels:
            labels["view"] = route_of(request)
        return super().label_metric(metric, request, response, **labels)


def route_of(request: HttpRequest) -> str:
    """The pattern of the path, never the path: a closed set."""
    match = request.resolver_match
    return match.route if match else "none"


def _insecure(request: HttpRequest) -> HttpResponse | None:
    """Not redirected: the secret has already travelled in the clear, and the client should notice."""
    if settings.HTTPS_ONLY and not request.is_secure() and request.path not in PROBES:
        return problem(request, Answer("forbidden", "Use https."))
    return None


def _refused(request: HttpRequest) -> HttpResponse | None:
    """The answer to a request that is wrong for any view."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        return problem(request, Answer("unsupported-media-type"))
    if (request.content_params or {}).get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        return problem(request, Answer("unsupported-media-type"))
    if len(request.headers.get("Accept", "")) > ACCEPT_MOST:
        return problem(request, Answer("not-acceptable"))
    return None


def _as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """An error in Django's own form, a page, in ours; its status and the headers that belong to it stay."""
    if response.status_code < CALLERS_FAULT or response.headers.get("Content-Type") == MEDIA_TYPE:
        return response
    otherwise = "malformed-request" if response.status_code < SERVERS_FAULT else "internal-error"
    code = BY_STATUS.get(response.status_code, otherwise)
    kept = {name: response.headers[name] for name in ("Allow", "Retry-After") if name in response.headers}
    return problem(request, Answer(code, headers=kept))
