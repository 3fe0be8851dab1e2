"""Every URL of the web process."""

from django.contrib import admin
from django.urls import include, path, re_path

from usercenter.health import healthz, metrics, no_such_thing, readyz

urlpatterns = [
    path("api/v1/", include("accounts.api.urls")),
    path("admin/", admin.site.urls),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    # Under DEBUG too, an unknown path of the API gets the API's own 404.
    re_path(r"^(?:api|\.well-known)/", no_such_thing),
]
