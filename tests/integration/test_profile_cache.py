"""The profile cache keeps the newest version, in whatever order writers come, and remembers who is gone."""

import random
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts.projections import profile_cache
from accounts.projections.profile_cache import Profile
from devstack import Stack
from tests.integration.caching import GONE, all_at_once, cached, entry_of, profile, valkey

Write = tuple[str, int]  # put or forget, and the version


def write(user_id: UUID, what: str, version: int) -> None:
    if what == "put":
        profile_cache.put_if_newer(user_id, profile(user_id, version))
    else:
        profile_cache.forget(user_id, version)


@pytest.mark.parametrize("order", [[1, 2, 10], [10, 2, 1], [2, 10, 2], [10, 10, 9]])
def test_a_late_writer_does_not_bring_back_an_older_profile(parts: Stack, order: list[int]) -> None:
    user_id = uuid4()

    for version in order:
        write(user_id, "put", version)

    assert cached(user_id) == profile(user_id, 10)


@pytest.mark.parametrize(
    ("writes", "stays"),
    [
        ([("put", 9), ("forget", 10)], GONE),
        ([("forget", 10), ("put", 9), ("put", 2)], GONE),
        ([("forget", 10), ("forget", 9)], GONE),
        ([("put", 10), ("forget", 9)], 10),
        ([("forget", 9), ("put", 10)], 10),
        ([("put", 10), ("forget", 10)], GONE),
        ([("forget", 10), ("put", 10)], GONE),
    ],
)
def test_a_tombstone_is_brought_back_by_a_newer_version_alone(
    parts: Stack, writes: list[Write], stays: str | int
) -> None:
    user_id = uuid4()

    for what, version in writes:
        write(user_id, what, version)

    assert cached(user_id) == (GONE if stays == GONE else profile(user_id, int(stays)))


@pytest.mark.parametrize("last", ["put", "forget"])
def test_of_many_writers_at_once_the_newest_stays(parts: Stack, last: str) -> None:
    user_id = uuid4()
    writes: list[Write] = [("forget" if version % 3 == 0 else "put", version) for version in range(1, 20)]
    writes.append((last, 20))
    random.shuffle(writes)

    all_at_once([partial(write, user_id, what, version) for what, version in writes])

    assert cached(user_id) == (GONE if last == "forget" else profile(user_id, 20))


def test_a_tombstone_has_nothing_of_the_profile_and_expires(parts: Stack) -> None:
    user_id = uuid4()
    write(user_id, "put", 1)

    write(user_id, "forget", 1)

    with valkey() as client:
        left: Any = client.hgetall(entry_of(user_id))
        assert left == {"version": "1"}
        assert 0 < int(str(client.ttl(entry_of(user_id)))) <= profile_cache.TTL_S


@pytest.mark.parametrize(("meanwhile", "stays"), [(("put", 2), 2), (("forget", 2), GONE)])
def test_a_slow_reader_does_not_undo_what_a_writer_did_meanwhile(
    parts: Stack, meanwhile: Write, stays: str | int
) -> None:
    def read_slowly(user_id: UUID) -> Profile:
        write(user_id, *meanwhile)
        return profile(user_id, 1)

    user_id = uuid4()
    profile_cache.read(user_id, otherwise=read_slowly)

    assert cached(user_id) == (GONE if stays == GONE else profile(user_id, int(stays)))


def test_readers_that_fill_and_writers_end_at_the_newest(parts: Stack) -> None:
    user_id = uuid4()
    seen: list[int] = []

    def fill(version: int) -> None:
        seen.append(profile_cache.read(user_id, otherwise=lambda _: profile(user_id, version))["version"])

    works = [partial(fill, version) for version in range(1, 10)]
    works += [partial(write, user_id, "put", version) for version in range(10, 20)]
    random.shuffle(works)
    all_at_once(works)

    assert len(seen) == 9
    assert cached(user_id) == profile(user_id, 19)


@pytest.mark.parametrize("entry", [None, {"version": "none", "profile": "{"}], ids=["of another kind", "of no version"])
def test_what_is_no_entry_of_ours_is_replaced(parts: Stack, entry: Any) -> None:
    user_id = uuid4()
    with valkey() as client:
        if entry:
            client.hset(entry_of(user_id), mapping=entry)
        else:
            client.set(entry_of(user_id), "no hash")

    write(user_id, "put", 1)

    assert cached(user_id) == profile(user_id, 1)
