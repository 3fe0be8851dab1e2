"""Profiles in Valkey: the one place that writes and reads them.

`api.profile` reads; what is missing is read from the database and kept by the same compare-and-set that every
writer uses, so a late writer never brings back an older profile. Valkey away means the database, never an error.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any
from uuid import UUID

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from accounts import observe
from accounts.conf import AccountsSettings
from events.errors import Transient

TTL_S = 3600
TIMEOUT_S = 0.5

# Reads, compares and writes in one step, by the version that grows with every change of the user.
_PUT_IF_NEWER = """
local known = redis.call('HGET', KEYS[1], 'version')
if known and tonumber(known) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'profile', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""


class CacheAway(Transient):
    """The cache does not answer: whoever must write it waits."""


def read(user_id: UUID, *, otherwise: Callable[[UUID], dict[str, Any]]) -> dict[str, Any]:
    """The profile from the cache, or from `otherwise`, and then it is kept. Raises what `otherwise` raises."""
    try:
        kept = _client().hget(_key(user_id), "profile")
    except redis.RedisError as error:
        observe.record_cache(away=True, error=error)
        return otherwise(user_id)
    observe.record_cache(away=False)
    if kept is not None:
        return dict(json.loads(kept))
    profile = otherwise(user_id)
    with suppress(CacheAway):
        put_if_newer(user_id, profile)
    return profile


def put_if_newer(user_id: UUID, profile: dict[str, Any]) -> None:
    """Keep this profile unless the cache has the same version or a later one. Raises CacheAway."""
    try:
        _client().eval(_PUT_IF_NEWER, 1, _key(user_id), profile["version"], json.dumps(profile), TTL_S)
    except redis.RedisError as error:
        observe.record_cache(away=True, error=error)
        raise CacheAway(type(error).__name__) from None


def _key(user_id: UUID) -> str:
    return f"usercenter:profile:{user_id}"


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        AccountsSettings.current().redis_url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
