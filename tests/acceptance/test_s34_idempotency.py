"""S34: a registration that is sent again by its Idempotency-Key is made once, and the key keeps nothing to steal."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.acceptance.web import CHANGE_PASSWORD, ME, PASSWORD, REGISTER, TOKEN_ANSWER, Answer, Call, Web, bearer
from tests.waiting import wait_for

WAITING = "from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


def newcomer() -> dict[str, Any]:
    name = f"u{uuid4().hex[:12]}"
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD}


@pytest.fixture
def body() -> dict[str, Any]:
    return newcomer()


@pytest.fixture
def key() -> str:
    return f"CANARY-key-{uuid4()}"


def register(web: Web, body: dict[str, Any], key: str) -> Answer:
    return web.call("POST", REGISTER, body, Idempotency_Key=key)


def made(web: Web, body: dict[str, Any]) -> tuple[int, int]:
    """How many users have this username, and how many such registrations were published."""
    count = """
        select count(*), count(record.id) from accounts_user as one
        left join events_outbox as record on record.key = one.id::text and record.type = 'user.registered'
        where one.username = %s
    """
    [(users, events)] = web.sql(count, body["username"])
    return users, events


# the same again ----------------------------------------------------------------------------------------------


def test_a_repeat_gives_the_same_user_and_new_tokens(web: Web, body: dict[str, Any], key: str) -> None:
    first, again = register(web, body, key), register(web, dict(reversed(body.items())), key)

    assert [answer.status for answer in (first, again)] == [201, 201]
    assert again.headers["Location"] == first.headers["Location"] == ME
    assert set(again.json) == TOKEN_ANSWER
    assert again.json["user"] == first.json["user"]
    for member in ("token", "refresh_token", "session_id"):
        assert again.json[member] != first.json[member]
    assert [web.me(answer.json["token"]).status for answer in (first, again)] == [200, 200]
    assert web.refresh(again.json["refresh_token"]).status == 200
    assert made(web, body) == (1, 1)


def test_of_thirty_at_once_one_makes_the_user(web: Web, body: dict[str, Any], key: str) -> None:
    answers = web.race_to_the_end([Call("POST", REGISTER, body, {"Idempotency-Key": key})] * 30)

    created = [answer for answer in answers if answer.status == 201]
    others = [answer for answer in answers if answer.status != 201]
    assert created
    assert {answer.told for answer in others} <= {(409, "request-in-progress")}
    assert all("Retry-After" in answer.headers for answer in others)
    assert len({answer.json["user"]["id"] for answer in created}) == 1
    assert len({answer.json["refresh_token"] for answer in created}) == len(created)
    assert made(web, body) == (1, 1)


@pytest.mark.parametrize(
    "other", [{"password": "CANARY-pw-other-4712"}, {"username": "somebodyelse"}, {"display_name": "Ann"}]
)
def test_another_body_is_refused_and_gets_no_token(
    web: Web, body: dict[str, Any], key: str, other: dict[str, str]
) -> None:
    assert register(web, body, key).status == 201

    answer = register(web, {**body, **other}, key)

    assert answer.told == (422, "idempotency-key-reused")
    assert b"token" not in answer.body
    assert made(web, body) == (1, 1)
    assert web.sql("select count(*) from accounts_user where username = 'somebodyelse'") == [(0,)]


def test_two_keys_are_two_requests(web: Web, body: dict[str, Any], key: str) -> None:
    assert register(web, body, key).status == 201

    assert register(web, body, key.swapcase()).told == (409, "username-taken")
    assert web.call("POST", REGISTER, body).told == (409, "username-taken")


def test_a_key_is_kept_for_a_day(web: Web, body: dict[str, Any], key: str) -> None:
    user_id = register(web, body, key).json["user"]["id"]
    age = "update accounts_idempotencykey set created_at = created_at - interval '24 hours' where user_id = %s"
    web.sql(age, user_id)

    assert register(web, body, key).told == (409, "username-taken")
    assert register(web, newcomer(), key).status == 201


# keys that are none ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("x" * 7, 400),
        ("x" * 8, 201),
        ("x" * 255, 201),
        ("x" * 256, 400),
        ("", 400),
        ("a key with spaces", 400),
        ("tab\tin-it-and-more", 400),
        ("sch\xfcssel-4711", 400),
        ("!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~\\", 201),
    ],
)
def test_a_key_is_8_to_255_visible_ascii_characters(web: Web, body: dict[str, Any], sent: str, status: int) -> None:
    answer = register(web, body, sent)

    assert answer.status == status
    assert made(web, body) == ((1, 1) if status == 201 else (0, 0))
    if status == 400:
        assert answer.json["code"] == "validation-error"
        assert [(error["header"], error["code"]) for error in answer.json["errors"]] == [
            ("Idempotency-Key", "invalid_idempotency_key")
        ]


# what frees a key --------------------------------------------------------------------------------------------


def test_a_request_that_failed_frees_its_key(web: Web, body: dict[str, Any], key: str) -> None:
    taken = web.register()["user"]

    assert register(web, {**body, "username": taken["username"]}, key).told == (409, "username-taken")
    assert register(web, {**body, "password": "short"}, key).told == (400, "validation-error")
    assert register(web, body, key).status == 201


@contextmanager
def held_up(web: Web, body: dict[str, Any], key: str) -> Iterator[Future[Answer]]:
    """A registration that has claimed its key and cannot go on until the block ends."""
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(web.dsn) as holding:
            holding.execute("lock table accounts_session in exclusive mode")
            running = pool.submit(register, web, body, key)
            wait_for(lambda: web.sql(f"select 1 {WAITING}"))
            yield running
            holding.rollback()
        running.exception()


def test_while_it_is_worked_on_the_same_key_waits(web: Web, body: dict[str, Any], key: str) -> None:
    with held_up(web, body, key) as running:
        same, another = register(web, body, key), register(web, {**body, "display_name": "Ann"}, key)

    assert [answer.told for answer in (same, another)] == [(409, "request-in-progress")] * 2
    assert same.headers["Retry-After"]
    assert running.result().status == 201
    assert register(web, body, key).json["user"] == running.result().json["user"]
    assert made(web, body) == (1, 1)


def end_its_transaction(web: Web) -> None:
    web.sql(f"select pg_terminate_backend(pid) {WAITING}")


def kill_the_workers(web: Web) -> None:
    for worker in web.workers():
        os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize("crash", [end_its_transaction, kill_the_workers])
def test_a_crash_frees_the_key(web: Web, body: dict[str, Any], key: str, crash: Callable[[Web], None]) -> None:
    with held_up(web, body, key) as running:
        crash(web)
        wait_for(running.done)
    web.wait_until_all_serve(Call("GET", "/readyz"))
    wait_for(lambda: web.sql(f"select 1 {WAITING}") == [])
    assert made(web, body) == (0, 0)

    answer = register(web, {**body, "display_name": "Ann"}, key)

    assert answer.status == 201
    assert made(web, body) == (1, 1)


# what a repeat does not get past -----------------------------------------------------------------------------


def test_a_repeat_with_a_password_that_was_changed_gets_nothing(web: Web, body: dict[str, Any], key: str) -> None:
    opened = register(web, body, key).json
    changed = {"current_password": PASSWORD, "new_password": "CANARY-pw-other-4712"}
    assert web.call("POST", CHANGE_PASSWORD, changed, **bearer(opened["token"])).status == 200

    answer = register(web, body, key)

    assert answer.told == (401, "invalid-credentials")
    assert b'"token' not in answer.body


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("suspended", (403, "account-suspended")),
        ("pending_deletion", (403, "account-pending-deletion")),
        ("deleted", (401, "invalid-credentials")),
    ],
)
def test_a_repeat_of_who_is_barred_gets_nothing(
    web: Web, body: dict[str, Any], key: str, status: str, told: tuple[int, str]
) -> None:
    user_id = register(web, body, key).json["user"]["id"]
    web.unguarded("update accounts_user set status = %s where id = %s", status, user_id)

    assert register(web, body, key).told == told
    assert web.sql("select count(*) from accounts_session where user_id = %s", user_id) == [(1,)]


def test_the_table_keeps_hashes_alone(web: Web, body: dict[str, Any], key: str) -> None:
    told = register(web, body, key).json

    [(row,)] = web.sql("select one::text from accounts_idempotencykey as one where user_id = %s", told["user"]["id"])
    for secret in (key, PASSWORD, told["token"], told["refresh_token"], body["email"], body["username"]):
        assert secret not in row
        assert secret.encode().hex() not in row
    columns = "select attname from pg_attribute where attrelid = 'accounts_idempotencykey'::regclass and attnum > 0"
    assert {name for (name,) in web.sql(columns)} == {"hash", "body_hash", "user_id", "created_at"}
    lengths = "select length(hash), length(body_hash) from accounts_idempotencykey where user_id = %s"
    assert web.sql(lengths, told["user"]["id"]) == [(32, 32)]
