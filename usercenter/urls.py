"""Every URL of the web process."""

from django.conf import settings
from django.contrib import admin
from django.http import Http404
from django.urls import include, path, re_path
from django.views.defaults import page_not_found

from accounts import admin_sign_in
from accounts.api.jwks import jwks
from accounts.api.well_known import change_password, security_txt
from usercenter.health import healthz, metrics, no_such_thing, readyz

urlpatterns = [
    path("api/v1/", include("accounts.api.urls")),
    *([path("api/v1/", include("usercenter.api_docs"))] if settings.API_DOCS else []),
    path(".well-known/jwks.json", jwks),
    path(".well-known/security.txt", security_txt),
    path(".well-known/change-password", change_password),
    # Django's own page would set a password past the services; the API, a mailed link or `changepassword` does it.
    re_path(r"^admin/password_change/", page_not_found, {"exception": Http404()}),
    path("admin/logout/", admin_sign_in.log_out),
    path("admin/", admin.site.urls),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    # Under DEBUG too, an unknown path of the API gets the API's own 404.
    re_path(r"^(?:api|\.well-known)(?:/|$)", no_such_thing),
]
