"""A request that may be sent twice and is done once, by its Idempotency-Key.

Used by `registration`. The row commits with what was done, so a failure or a crash frees the key by itself; while the
request is being done, an advisory lock stands for it.
Source: draft-ietf-httpapi-idempotency-key-header-07.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.utils import timezone

from accounts import opaque
from accounts.errors import Refused
from accounts.models import IdempotencyKey

LASTS = timedelta(hours=24)


class KeyReused(Refused):
    """The key came before with another body."""


class RequestInProgress(Refused):
    """The same key is being worked on."""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A key and the body that came with it, as keyed hashes."""

    hash: bytes
    body_hash: bytes

    @classmethod
    def of(cls, key: str, operation: str, body: str) -> "RequestKey":
        """What is kept of this key, for one operation."""
        return cls(opaque.keyed("idempotency-key", operation, key), opaque.keyed("idempotency-body", body))


@dataclass(frozen=True, slots=True)
class Done:
    """The request was done before; `user_id` is the user that it made, where that may be told."""

    user_id: UUID | None


def find(key: RequestKey | None) -> Done | None:
    """What was done with this key in the last 24 h. Raises KeyReused."""
    if key is None:
        return None
    known = IdempotencyKey.objects.filter(hash=key.hash, created_at__gt=timezone.now() - LASTS).first()
    if known is None:
        return None
    if bytes(known.body_hash) != key.body_hash:
        raise KeyReused
    return Done(known.user_id)


def claim(key: RequestKey | None, user_id: UUID | None, *, now: datetime) -> bool:
    """Note the request as done, in the caller's transaction; False if it was meanwhile. Raises RequestInProgress."""
    if key is None:
        return True
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(%s)", [int.from_bytes(key.hash[:8], signed=True)])
        [(mine,)] = cursor.fetchall()
    if not mine:
        raise RequestInProgress
    if find(key):
        return False
    IdempotencyKey.objects.update_or_create(
        hash=key.hash, defaults={"body_hash": key.body_hash, "user_id": user_id, "created_at": now}
    )
    return True
