"""GET /.well-known/security.txt and /.well-known/change-password: where people and their password managers look.

Both lead to PUBLIC_URL, the front end of this installation. Sources: RFC 9116, W3C "A Well-Known URL for Changing
Passwords".
"""

from datetime import timedelta

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from accounts.conf import AccountsSettings

# Whoever keeps a copy for longer should ask again.
GOOD_FOR = timedelta(days=30)


@csrf_exempt
@require_safe
def security_txt(request: HttpRequest) -> HttpResponse:
    """Whom to tell of a hole."""
    there, until = AccountsSettings.current().public_url, timezone.now() + GOOD_FOR
    told = f"Contact: {there}\nExpires: {until:%Y-%m-%dT%H:%M:%SZ}\nCanonical: {there}/.well-known/security.txt\n"
    return HttpResponse(told, content_type="text/plain; charset=utf-8")


@csrf_exempt
@require_safe
def change_password(request: HttpRequest) -> HttpResponse:
    """Where a password is changed."""
    return HttpResponseRedirect(AccountsSettings.current().public_url)
