"""How the web process is: /healthz (it runs), /readyz (it can work) and /metrics (what it has counted).

For the orchestrator and for Prometheus. The answers name parts, never hosts, versions or errors.
"""

import os
import time
from ipaddress import ip_address, ip_network
from threading import Lock

import prometheus_client
from django.conf import settings
from django.db import Error, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import multiprocess

from accounts.api.client import address_of
from accounts.api.problems import Answer, problem

READY_FOR_S = 1.0
FORWARDED = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "Forwarded", "Via")


class _Readiness:
    """Whether the database answers, asked at most once a second however often anyone wants to know."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._until = 0.0
        self._failing: list[str] = []

    def failing(self) -> list[str]:
        """The parts that do not answer."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._failing = [] if _database_answers() else ["database"]
                self._until = time.monotonic() + READY_FOR_S
            return self._failing


_readiness = _Readiness()


@csrf_exempt
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process is alive."""
    return JsonResponse({"status": "ok"})


@csrf_exempt
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """The process can do its work; 503 and the failing parts' names when it cannot."""
    failing = _readiness.failing()
    if failing:
        told = f"Not answering: {', '.join(failing)}."
        return problem(request, Answer("unavailable", told, headers={"Retry-After": "1"}))
    return JsonResponse({"status": "ok"})


@csrf_exempt
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """What all workers have counted together; to anyone who may not see it, this does not exist."""
    if not (_has_token(request) or _comes_from_inside(request)):
        raise Http404
    registry = prometheus_client.REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = prometheus_client.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # untyped
    return HttpResponse(prometheus_client.generate_latest(registry), content_type=prometheus_client.CONTENT_TYPE_LATEST)


@csrf_exempt
def no_such_thing(request: HttpRequest) -> HttpResponse:
    """Nothing has this path, by any method and from any page."""
    raise Http404


def _has_token(request: HttpRequest) -> bool:
    sent = request.headers.get("Authorization", "")
    return bool(settings.METRICS_TOKEN) and constant_time_compare(sent, f"Bearer {settings.METRICS_TOKEN}")


def _comes_from_inside(request: HttpRequest) -> bool:
    # Behind a proxy everyone's peer is the proxy: what was forwarded may come from anywhere.
    if any(name in request.headers for name in FORWARDED):
        return False
    peer = address_of(request)
    return peer is not None and any(ip_address(peer) in ip_network(cidr) for cidr in settings.METRICS_ALLOWED_CIDRS)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
    except Error:
        connection.close()
        return False
    return True
