"""GET /.well-known/jwks.json: what another service needs to verify our access tokens by itself (docs/keys.md).

A plain view, not one of DRF's: libraries ask with whatever `Accept` they have, and no database is needed.
Sources: RFC 7517 (the document), RFC 8037 (Ed25519 in it).
"""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from accounts.conf import AccountsSettings
from accounts.keys import load_keys

# A new key must be shown for so long before it signs.
MAX_AGE_S = 300


@csrf_exempt
@require_safe
def jwks(request: HttpRequest) -> HttpResponse:
    """The public halves of all keys, in the order of JWT_SIGNING_KEYS."""
    keys = load_keys(AccountsSettings.current().jwt_signing_keys)
    shown = {"keys": [key.jwk for key in keys]}
    return JsonResponse(shown, headers={"Cache-Control": f"public, max-age={MAX_AGE_S}"})
