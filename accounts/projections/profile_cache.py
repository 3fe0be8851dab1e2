"""Profiles in Valkey: the one place that writes and reads them.

`api.profile` reads; what is missing is read from the database and kept by the same compare-and-set that every
writer uses, so a late writer never brings back an older profile. Who is gone has a tombstone: a version without a
profile. Of all who miss the same profile one reads it, and the others wait for that: docs/decisions/profile-cache.md.
Valkey away means the database, never an error.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import redis

from accounts.errors import Refused
from accounts.projections.valkey import CacheAway, asking, is_to_be_left_alone
from events.backoff import Backoff

TTL_S = 3600
# A reader who died keeps the others for WAIT_S alone: then each reads for itself.
LOCK_S = 2.0
WAIT_S = 0.5

_LOOK_AGAIN = Backoff(first_s=0.005, most_s=0.05)

# Reads, compares and writes in one step, by the version that grows with every change of the user. At the same version
# a tombstone wins: what is erased has to go. What is no entry of ours is replaced.
_PUT_IF_NEWER = """
local known, version, profile = tonumber(redis.pcall('HGET', KEYS[1], 'version')), tonumber(ARGV[1]), ARGV[2]
if known and (known > version or (known == version and profile ~= '')) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'version', ARGV[1])
if profile ~= '' then redis.call('HSET', KEYS[1], 'profile', profile) end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""

# In one step: who comes when the entry has just been put must not read for it once more.
_LOOK_OR_LOCK = """
local kept = redis.call('HMGET', KEYS[1], 'version', 'profile')
if not kept[1] and redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then kept[3] = 1 end
return kept
"""

# A lock that has expired may be another reader's by now.
_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"

Profile = dict[str, Any]
_Entry = tuple[bytes | None, bytes | None]  # version, profile


class ProfileGone(Refused):
    """The user is deleted, or waits for it: nobody sees the profile."""


def read(user_id: UUID, *, otherwise: Callable[[UUID], Profile]) -> Profile:
    """The profile from the cache, or from `otherwise`, and then it is kept.

    Raises ProfileGone where the cache has a tombstone, and what `otherwise` raises.
    """
    if is_to_be_left_alone():
        return otherwise(user_id)
    turn = uuid4().hex
    try:
        with asking() as valkey:
            version, profile = valkey.hmget(_entry(user_id), "version", "profile")
            if version is None:
                version, profile = _wait_for_it(valkey, user_id, turn)
    except CacheAway:
        return otherwise(user_id)
    if version is None:
        return _fill(user_id, turn, otherwise)
    if profile is None:
        raise ProfileGone
    return dict(json.loads(profile))


def put_if_newer(user_id: UUID, profile: Profile) -> None:
    """Keep this profile unless the cache has the same version or a later one. Raises CacheAway."""
    _put(user_id, profile["version"], json.dumps(profile))


def forget(user_id: UUID, version: int) -> None:
    """Leave a tombstone of this version unless the cache has a later one. Raises CacheAway."""
    _put(user_id, version, "")


def _put(user_id: UUID, version: int, profile: str) -> None:
    with asking() as valkey:
        valkey.eval(_PUT_IF_NEWER, 1, _entry(user_id), version, profile, TTL_S)


def _wait_for_it(valkey: redis.Redis, user_id: UUID, turn: str) -> _Entry:
    """What the reader before us keeps in a moment.

    Nothing, where it is for us to read: it is our turn, or who had it found nothing, or takes too long.
    """
    keys = _entry(user_id), _lock(user_id)
    version, profile, *is_over = valkey.eval(_LOOK_OR_LOCK, 2, *keys, turn, round(LOCK_S * 1000))
    until, attempt = time.monotonic() + WAIT_S, 0
    while version is None and not is_over and time.monotonic() < until:
        attempt += 1
        time.sleep(_LOOK_AGAIN.wait_s(attempt))
        # The lock first: it goes when the entry is there.
        looks = valkey.pipeline(transaction=False)
        looks.exists(keys[1])
        looks.hmget(keys[0], "version", "profile")
        is_locked, (version, profile) = looks.execute()
        is_over = not is_locked
    return version, profile


def _fill(user_id: UUID, turn: str, otherwise: Callable[[UUID], Profile]) -> Profile:
    """Read the profile, keep it, and end the turn."""
    profile = None
    try:
        profile = otherwise(user_id)
    finally:
        # A cache that does not take the profile is not asked once more: the lock ends by itself.
        with suppress(CacheAway):
            if profile is not None:
                put_if_newer(user_id, profile)
            with asking() as valkey:
                valkey.eval(_UNLOCK, 1, _lock(user_id), turn)
    return profile


def _entry(user_id: UUID) -> str:
    return f"usercenter:profile:{user_id}"


def _lock(user_id: UUID) -> str:
    return f"usercenter:profile-lock:{user_id}"
