"""S16: hashing costs the same for everyone, is bounded for all together, and nobody sees a hash."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2.low_level import Type, hash_secret

from tests.acceptance.web import LOGIN, PASSWORD, REGISTER, Call, Web

TODAYS = "argon2$argon2id$v=19$m=19456,t=2,p=1$"


def stored_hash(web: Web, user: dict[str, Any]) -> str:
    [(stored,)] = web.sql("select password from accounts_user where id = %s", user["id"])
    return str(stored)


def test_a_password_is_stored_as_argon2id_with_a_salt_of_its_own(web: Web) -> None:
    first, second = web.register()["user"], web.register()["user"]

    hashes = [stored_hash(web, first), stored_hash(web, second)]

    assert all(stored.startswith(TODAYS) for stored in hashes)
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    ("password", "codes"),
    [
        ("1234567", [("/password", "password_too_short")]),
        ("73915208", []),
        ("🔑🚲" * 4, []),
        ("🔑🚲🔑🚲🔑🚲🔑", [("/password", "password_too_short")]),
        ("xyz1" * 64, []),
        ("x" * 257, [("/password", "password_too_long")]),
        ("x" * 60_000, [("/password", "password_too_long")]),
        ("correct horse battery", []),
    ],
)
def test_a_passwords_length_is_counted_in_characters(web: Web, password: str, codes: list[tuple[str, str]]) -> None:
    name = f"p{abs(hash(password))}"[:20]
    answer = web.call("POST", REGISTER, {"username": name, "email": f"{name}@example.com", "password": password})

    if codes:
        assert (answer.status, answer.codes) == (400, codes)
    else:
        assert answer.status == 201
        assert web.login(name, password).status == 200
        assert web.login(name, password + " ").status == 401


def test_every_keyboards_spelling_of_a_password_is_the_same(web: Web) -> None:
    user = web.register(password="pässwörd ﬁve")["user"]

    assert web.login(user["username"], "pa\u0308sswo\u0308rd five").status == 200


def test_a_megabyte_of_password_is_refused_before_it_is_read(web: Web) -> None:
    assert web.login("anyone", "x" * 1_000_000).status == 413


def test_an_older_hash_is_made_anew_at_the_next_login_alone(web: Web) -> None:
    user = web.register()["user"]
    older = hash_secret(
        PASSWORD.encode(), b"0123456789abcdef", time_cost=1, memory_cost=8_192, parallelism=1, hash_len=32, type=Type.ID
    )
    web.unguarded("update accounts_user set password = %s where id = %s", "argon2" + older.decode(), user["id"])

    assert web.login(user["username"], "wrong").status == 401
    assert stored_hash(web, user) == "argon2" + older.decode()
    assert web.login(user["username"]).status == 200

    assert stored_hash(web, user).startswith(TODAYS)
    assert web.sql("select version from accounts_user where id = %s", user["id"]) == [(1,)]
    assert web.login(user["username"]).status == 200


def test_a_hundred_logins_at_once_leave_the_service_answering(web: Web) -> None:
    user = web.register()["user"]
    calls = [Call("POST", LOGIN, {"identifier": user["username"], "password": PASSWORD})] * 100

    with ThreadPoolExecutor(1) as aside:
        racing = aside.submit(web.race, calls)
        healths = []
        while not racing.done():
            healths.append(web.call("GET", "/healthz").status)

    answers = racing.result()
    assert {answer.status for answer in answers} <= {200, 503}
    assert any(answer.status == 200 for answer in answers)
    assert all(answer.headers["Retry-After"] == "2" for answer in answers if answer.status == 503)
    assert len(healths) > 1
    assert set(healths) == {200}


def test_no_answer_and_no_event_has_a_hash(web: Web) -> None:
    answer = web.call("POST", REGISTER, {"username": "hashless", "email": "hashless@example.com", "password": PASSWORD})
    login = web.login("hashless")

    values = web.sql("select value from events_outbox where key = %s", answer.json["user"]["id"])
    shown = answer.body + login.body + b"".join(bytes(value) for (value,) in values)
    assert len(values) == 2
    assert b"argon2" not in shown
    assert PASSWORD.encode() not in shown
    assert "password" not in json.loads(bytes(values[0][0]))
