"""S26: a request sets what its endpoint names, and nothing else gets in or is dropped in silence."""

from typing import Any

import pytest

from tests.acceptance.web import LOGIN, PASSWORD, REGISTER, Web

GOOD = {"username": "mallory", "email": "mallory@example.com", "password": PASSWORD}
EXTRA: dict[str, Any] = {
    "is_staff": True, "is_superuser": True, "is_active": True, "status": "active", "email_verified": True,
    "id": "01a2101e-30ab-7110-a909-a024da587fc4", "version": 7, "groups": ["admin"], "user_permissions": [1],
    "last_login": None, "created_at": "2020-01-01T00:00:00Z", "username_canonical": "ann", "_state": {},
    "profile": {"is_staff": True}, "__proto__": {"is_staff": True}, "password_hash": "!", "a/b~c": 1, "Username": "x",
}  # fmt: skip


def rows(web: Web) -> tuple[int, ...]:
    counts = "select (select count(*) from accounts_user), (select count(*) from events_outbox)"
    return web.sql(counts)[0]


@pytest.mark.parametrize("member", EXTRA)
def test_an_extra_member_is_refused_and_nothing_happens(web: Web, member: str) -> None:
    before = rows(web)

    with_good = web.call("POST", REGISTER, {**GOOD, member: EXTRA[member]})
    alone = web.call("POST", REGISTER, {member: EXTRA[member]})
    at_login = web.call("POST", LOGIN, {"identifier": "mallory", "password": PASSWORD, member: EXTRA[member]})

    place = "/a~1b~0c" if member == "a/b~c" else f"/{member}"
    assert (with_good.status, with_good.codes) == (400, [(place, "unknown_field")])
    assert (place, "unknown_field") in alone.codes
    assert (at_login.status, at_login.codes) == (400, [(place, "unknown_field")])
    assert rows(web) == before


def test_a_doubled_member_is_refused(web: Web) -> None:
    before = rows(web)
    body = b'{"username": "mallory", "username": "ann", "email": "m@example.com", "password": "CANARY-pw-4711"}'

    answer = web.call("POST", REGISTER, body)

    assert (answer.status, answer.json["code"]) == (400, "malformed-request")
    assert rows(web) == before


def test_a_flood_of_unknown_members_is_answered_in_short(web: Web) -> None:
    answer = web.call("POST", REGISTER, {f"{'x' * 100}{n}": n for n in range(500)})

    assert answer.status == 400
    assert len(answer.json["errors"]) == 50
    assert len(answer.body) < 20_000
