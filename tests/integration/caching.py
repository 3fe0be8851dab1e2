"""What tests of the profile cache share: profiles, looks that fill nothing, Valkey as it is."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import redis

from accounts.projections import profile_cache
from accounts.projections.profile_cache import Profile

GONE = "gone"


class NotCachedError(Exception):
    """The cache has no entry."""


def profile(user_id: UUID, version: int) -> Profile:
    return {"id": str(user_id), "username": "ann", "display_name": f"Ann {version}", "version": version}


def cached(user_id: UUID) -> Profile | str | None:
    """What the cache has: a profile, GONE, or nothing; looks without filling it."""

    def refuse(_: UUID) -> Profile:
        raise NotCachedError

    try:
        return profile_cache.read(user_id, otherwise=refuse)
    except profile_cache.ProfileGone:
        return GONE
    except NotCachedError:
        return None


@contextmanager
def valkey() -> Iterator[redis.Redis]:
    """A client of the test's own."""
    with redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as client:
        yield client


def entry_of(user_id: UUID) -> str:
    return f"usercenter:profile:{user_id}"


def lock_of(user_id: UUID) -> str:
    return f"usercenter:profile-lock:{user_id}"


def all_at_once(works: Sequence[Callable[[], object]]) -> None:
    """Each in a thread; returns when all have ended."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        start.wait()
        work()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
