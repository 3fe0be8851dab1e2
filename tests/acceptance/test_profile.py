"""GET /users/{id}/profile: from the cache, which only ever goes forward."""

import os
from collections.abc import Iterator

import pytest
import redis

from tests.acceptance.web import Web, bearer


@pytest.fixture
def cache() -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    yield client
    client.close()


def test_a_first_look_fills_the_cache_and_the_next_is_answered_from_it(web: Web, cache: redis.Redis) -> None:
    ann, bob = web.register(display_name="Ann"), web.register()
    path, key = f"/api/v1/users/{ann['user']['id']}/profile", f"usercenter:profile:{ann['user']['id']}"

    first = web.call("GET", path, **bearer(bob["token"]))
    web.unguarded("update accounts_user set display_name = 'Changed' where id = %s", ann["user"]["id"])
    second = web.call("GET", path, **bearer(bob["token"]))

    expected = {"id": ann["user"]["id"], "username": ann["user"]["username"], "display_name": "Ann", "version": 1}
    assert first.json == second.json == expected
    assert cache.hget(key, "version") == "1"
    assert 0 < int(str(cache.ttl(key))) <= 3600


def test_an_unknown_or_deleted_user_has_no_profile(web: Web) -> None:
    gone, reader = web.register()["user"], web.register()
    web.unguarded("update accounts_user set status = 'deleted' where id = %s", gone["id"])

    for user_id in (gone["id"], "01a2101e-30ab-7110-a909-a024da587fc4"):
        answer = web.call("GET", f"/api/v1/users/{user_id}/profile", **bearer(reader["token"]))
        assert (answer.status, answer.json["code"]) == (404, "not-found")


def test_a_profile_is_for_who_is_signed_in(web: Web) -> None:
    user = web.register()["user"]

    assert web.call("GET", f"/api/v1/users/{user['id']}/profile").status == 401


def test_a_broken_entry_of_the_cache_is_passed_over(web: Web, cache: redis.Redis) -> None:
    user = web.register()
    key = f"usercenter:profile:{user['user']['id']}"
    cache.set(key, "not a hash")

    answer = web.call("GET", f"/api/v1/users/{user['user']['id']}/profile", **bearer(user["token"]))

    cache.delete(key)
    assert answer.status == 200
