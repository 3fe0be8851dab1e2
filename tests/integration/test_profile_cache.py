"""The profile cache keeps the newest version, in whatever order writers come."""

import threading
from uuid import UUID, uuid4

import pytest

from accounts.projections import profile_cache
from devstack import Stack


def profile(user_id: UUID, version: int) -> dict[str, object]:
    return {"id": str(user_id), "username": "ann", "display_name": f"Ann {version}", "version": version}


def kept(user_id: UUID) -> dict[str, object]:
    def nothing_kept(_: UUID) -> dict[str, object]:
        raise AssertionError("the cache had nothing")

    return profile_cache.read(user_id, otherwise=nothing_kept)


@pytest.mark.parametrize("order", [[1, 2, 10], [10, 2, 1], [2, 10, 2], [10, 10, 9]])
def test_a_late_writer_does_not_bring_back_an_older_profile(parts: Stack, order: list[int]) -> None:
    user_id = uuid4()

    for version in order:
        profile_cache.put_if_newer(user_id, profile(user_id, version))

    assert kept(user_id) == profile(user_id, 10)


def test_of_many_writers_at_once_the_newest_stays(parts: Stack) -> None:
    user_id, start = uuid4(), threading.Barrier(20)

    def write(version: int) -> None:
        start.wait()
        profile_cache.put_if_newer(user_id, profile(user_id, version))

    writers = [threading.Thread(target=write, args=(version,)) for version in range(1, 21)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert kept(user_id) == profile(user_id, 20)
