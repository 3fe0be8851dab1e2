"""Who reads a profile that the cache does not have: one for all, and the database whatever becomes of the cache."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts.projections import profile_cache
from accounts.projections import valkey as way
from accounts.projections.profile_cache import Profile
from accounts.selectors import UserNotFound
from devstack import Stack
from tests.integration.caching import all_at_once, cached, entry_of, lock_of, profile, valkey
from tests.waiting import LIMIT_S, wait_for

# As many as the threads of a web process.
READERS = 64
AWAY = ["stopped", "holding still"]


class Database:
    """Where profiles are read that the cache does not have; counts."""

    def __init__(self, first: Callable[[], object] = lambda: None) -> None:
        self._read: list[UUID] = []
        self._first = first

    @property
    def reads(self) -> int:
        return len(self._read)

    def __call__(self, user_id: UUID) -> Profile:
        self._read.append(user_id)
        self._first()
        return profile(user_id, 1)

    def nobody(self, user_id: UUID) -> Profile:
        self._read.append(user_id)
        raise UserNotFound


@pytest.fixture(autouse=True)
def _cache_is_there(parts: Stack) -> Iterator[None]:
    """Before and behind the test, and known to be."""
    with way.asking() as client:
        client.ping()
    yield
    parts.valkey.resume()
    parts.valkey.start()
    with way.asking() as client:
        client.ping()


def take_away(parts: Stack, how: str) -> None:
    {"stopped": parts.valkey.stop, "holding still": parts.valkey.pause}[how]()


def looks_again() -> int:
    """How often Valkey was asked whether a lock is still there."""
    with valkey() as client:
        stats: Any = client.info("commandstats")
    return int(stats.get("cmdstat_exists", {"calls": 0})["calls"])


def test_of_many_who_miss_the_same_profile_one_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("LOCK_S", "WAIT_S"):
        monkeypatch.setattr(profile_cache, limit, LIMIT_S)
    user_id, before = uuid4(), looks_again()
    database = Database(lambda: wait_for(lambda: looks_again() >= before + READERS - 1))
    answers = []

    def read() -> None:
        answers.append(profile_cache.read(user_id, otherwise=database))

    all_at_once([read] * READERS)

    assert answers == [profile(user_id, 1)] * READERS
    assert database.reads == 1


def test_the_lock_goes_with_the_reading_whatever_came_of_it() -> None:
    database = Database()
    known, unknown = uuid4(), uuid4()

    profile_cache.read(known, otherwise=database)
    with pytest.raises(UserNotFound):
        profile_cache.read(unknown, otherwise=database.nobody)

    with valkey() as client:
        assert not client.exists(lock_of(known), lock_of(unknown))


def test_of_many_who_ask_for_nobody_each_is_told_so() -> None:
    user_id, database, told = uuid4(), Database(), []

    def read() -> None:
        with pytest.raises(UserNotFound):
            profile_cache.read(user_id, otherwise=database.nobody)
        told.append(True)

    all_at_once([read] * READERS)

    assert len(told) == READERS
    assert cached(user_id) is None


@pytest.mark.parametrize("lock_ms", [100, 600_000], ids=["which ends", "which stays"])
def test_a_reader_that_died_holding_the_lock_is_not_waited_for_long(lock_ms: int) -> None:
    user_id, answers = uuid4(), []
    with valkey() as client:
        client.set(lock_of(user_id), "of who died", px=lock_ms)

    def read() -> None:
        answers.append(profile_cache.read(user_id, otherwise=Database()))

    all_at_once([read] * 5)

    assert answers == [profile(user_id, 1)] * 5
    assert cached(user_id) == profile(user_id, 1)


def test_a_lock_ends_by_itself() -> None:
    user_id, left = uuid4(), []

    def look(client: Any) -> None:
        left.append(client.pttl(lock_of(user_id)))

    with valkey() as client:
        profile_cache.read(user_id, otherwise=Database(lambda: look(client)))

    assert 0 < left[0] <= profile_cache.LOCK_S * 1000


def test_a_slow_reader_leaves_the_lock_of_the_next_alone() -> None:
    user_id = uuid4()
    with valkey() as client:
        profile_cache.read(user_id, otherwise=Database(lambda: client.set(lock_of(user_id), "the next one's")))

        assert client.get(lock_of(user_id)) == "the next one's"
        client.delete(lock_of(user_id))


@pytest.mark.parametrize("how", AWAY)
def test_a_cache_that_is_away_means_the_database(parts: Stack, how: str) -> None:
    user_id, database = uuid4(), Database()
    take_away(parts, how)

    assert [profile_cache.read(user_id, otherwise=database) for _ in range(3)] == [profile(user_id, 1)] * 3
    assert database.reads == 3


@pytest.mark.parametrize("how", AWAY)
def test_a_cache_that_goes_while_the_database_is_read_changes_nothing(parts: Stack, how: str) -> None:
    user_id = uuid4()

    answer = profile_cache.read(user_id, otherwise=Database(lambda: take_away(parts, how)))

    assert answer == profile(user_id, 1)


@pytest.mark.parametrize("how", AWAY)
def test_who_waits_for_another_reader_goes_on_when_the_cache_goes(
    parts: Stack, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile_cache, "WAIT_S", 3600.0)
    user_id, database, before = uuid4(), Database(), looks_again()
    with valkey() as client:
        client.set(lock_of(user_id), "another's", px=600_000)

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(profile_cache.read, user_id, otherwise=database)
        wait_for(lambda: looks_again() > before)
        take_away(parts, how)

        assert waiting.result(60) == profile(user_id, 1)
    assert database.reads == 1


@pytest.mark.parametrize("how", AWAY)
def test_behind_a_failure_readers_leave_the_cache_alone(
    parts: Stack, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(way, "QUIET_S", 3600.0)
    user_id, database = uuid4(), Database()
    take_away(parts, how)
    profile_cache.read(user_id, otherwise=database)
    parts.valkey.resume()
    parts.valkey.start()

    profile_cache.read(user_id, otherwise=database)

    with valkey() as client:
        assert not client.exists(entry_of(user_id))
    profile_cache.put_if_newer(user_id, profile(user_id, 2))  # a writer asks, and has an answer
    assert profile_cache.read(user_id, otherwise=database) == profile(user_id, 2)
    assert database.reads == 2


def test_readers_come_back_to_the_cache_by_themselves(parts: Stack) -> None:
    user_id, database = uuid4(), Database()
    parts.valkey.stop()
    profile_cache.read(user_id, otherwise=database)
    parts.valkey.start()

    def is_kept() -> bool:
        profile_cache.read(user_id, otherwise=database)
        with valkey() as client:
            return bool(client.exists(entry_of(user_id)))

    wait_for(is_kept)
