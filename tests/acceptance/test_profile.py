"""GET /users/{id}/profile: from the cache, which only ever goes forward."""

import os
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
import redis
from django.db import connection

from accounts.projections import profile_cache
from devstack import Stack
from tests.acceptance.web import Call, Web, bearer

pytestmark = pytest.mark.usefixtures("cache_is_asked")


@pytest.fixture
def cache() -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    yield client
    client.close()


def profile_of(user_id: str) -> str:
    return f"/api/v1/users/{user_id}/profile"


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


@pytest.mark.parametrize("status", ["pending_deletion", "deleted"])
def test_a_user_who_is_gone_or_unknown_has_no_profile(web: Web, status: str) -> None:
    gone, reader = web.register()["user"], web.register()
    web.unguarded("update accounts_user set status = %s where id = %s", status, gone["id"])

    for user_id in (gone["id"], "01a2101e-30ab-7110-a909-a024da587fc4"):
        answer = web.read(profile_of(user_id), reader["token"])
        assert answer.told == (404, "not-found")


def test_a_suspended_user_stays_visible(web: Web) -> None:
    barred, reader = web.register()["user"], web.register()
    web.unguarded("update accounts_user set status = 'suspended' where id = %s", barred["id"])

    assert web.read(profile_of(barred["id"]), reader["token"]).status == 200


def test_a_tombstone_is_believed_without_a_look_at_the_database(web: Web) -> None:
    user, reader = web.register()["user"], web.register()
    profile_cache.forget(UUID(user["id"]), version=2)

    assert web.read(profile_of(user["id"]), reader["token"]).told == (404, "not-found")


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


@pytest.fixture
def statements(web: Web, parts: Stack) -> Iterator[Callable[[], list[str]]]:
    """What the web process asks PostgreSQL, which tells new connections' statements to its log."""
    database, log = connection.settings_dict["NAME"], parts.mailbox.with_name("postgres.log")
    token = web.register()["token"]
    web.sql(f"alter database \"{database}\" set log_statement = 'all'")
    with web.without_database(token):
        pass
    told_before = log.stat().st_size
    yield lambda: log.read_bytes()[told_before:].decode().splitlines()
    web.sql(f'alter database "{database}" reset log_statement')
    with web.without_database(token):
        pass


def test_a_crowd_before_a_cold_profile_is_one_look_at_the_database(
    web: Web, statements: Callable[[], list[str]]
) -> None:
    user, reader = web.register()["user"], web.register()
    before = len(statements())
    web.cache.delay(0.05)

    try:
        # More than have a connection to the database at once, so more than could read together.
        answers = web.race([Call("GET", profile_of(user["id"]), headers=bearer(reader["token"]))] * 48)
    finally:
        web.cache.heal()
    assert {(answer.status, answer.json["version"]) for answer in answers} == {(200, 1)}
    reads = [line for line in statements()[before:] if 'FROM "accounts_user"' in line and UUID(user["id"]).hex in line]
    assert 1 <= len(reads) <= 5


def test_a_crowd_is_answered_while_the_cache_is_silent(web: Web) -> None:
    user, reader = web.register()["user"], web.register()
    call = Call("GET", profile_of(user["id"]), headers=bearer(reader["token"]))
    web.cache.half_open()

    try:
        answers = web.race([call] * 200)
    finally:
        web.cache.heal()
    assert {answer.status for answer in answers} == {200}
