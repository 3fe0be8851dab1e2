"""The way to Valkey, for the projections that are kept there: whatever it does not answer is CacheAway."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from accounts import observe
from accounts.conf import AccountsSettings
from events.errors import Transient

TIMEOUT_S = 0.5
QUIET_S = 1.0


class CacheAway(Transient):
    """The cache does not answer: whoever must write it waits."""


class _Outage:
    """Since Valkey did not answer.

    Readers leave it alone then, but for one in `QUIET_S`: each that waited for its timeout would keep a connection to
    the database meanwhile, until there is none for the others. Writers always ask.
    """

    def __init__(self) -> None:
        self._look_at = 0.0

    def begin(self) -> None:
        """Somebody waited in vain."""
        self._look_at = time.monotonic() + QUIET_S

    def end(self) -> None:
        """Somebody had an answer."""
        self._look_at = 0.0

    def is_to_be_left_alone(self) -> bool:
        """Whether a reader goes to the database at once; who is told no looks for the others."""
        if not self._look_at:
            return False
        now = time.monotonic()
        if now < self._look_at:
            return True
        self._look_at = now + QUIET_S
        return False


_outage = _Outage()
is_to_be_left_alone = _outage.is_to_be_left_alone


@contextmanager
def asking() -> Iterator[redis.Redis]:
    """The client, each of whose commands takes about a second at most. Raises CacheAway."""
    try:
        yield _client()
    except redis.RedisError as error:
        # A refusal (out of memory, another kind of value) came in time: nobody else waits for one.
        if isinstance(error, redis.ConnectionError | redis.TimeoutError):
            _outage.begin()
        observe.record_cache(away=True, error=error)
        raise CacheAway(type(error).__name__) from None
    _outage.end()
    observe.record_cache(away=False)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        AccountsSettings.current().redis_url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
