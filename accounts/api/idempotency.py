"""The Idempotency-Key of a request that makes something: what `services.idempotency` keeps of it."""

import json
import re

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from accounts.api.inputs import FieldError, InputRefused
from accounts.services.idempotency import RequestKey

_KEY = re.compile(r"[!-~]{8,255}")

# For the description.
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": f"^{_KEY.pattern}$"},
    OpenApiParameter.HEADER,
    description="The same key and body within 24 hours make nothing more.",
)


def request_key_of(request: Request, operation: str) -> RequestKey | None:
    """What is kept of the key and the body, for this operation; None without a key. Raises InputRefused."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        told = "8 to 255 visible ASCII characters."
        raise InputRefused([FieldError("Idempotency-Key", "invalid_idempotency_key", told, member="header")])
    return RequestKey.of(key, operation, json.dumps(request.data, sort_keys=True))
