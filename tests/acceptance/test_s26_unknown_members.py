"""S26: a request sets what its endpoint names, and nothing else gets in or is dropped in silence."""

from typing import Any

import pytest

from tests.acceptance.web import LOGIN, ME, PASSWORD, REGISTER, Web, bearer

GOOD = {"username": "mallory", "email": "mallory@example.com", "password": PASSWORD}
EXTRA: dict[str, Any] = {
    "is_staff": True, "is_superuser": True, "is_active": True, "status": "active", "email_verified": True,
    "id": "01a2101e-30ab-7110-a909-a024da587fc4", "version": 7, "groups": ["admin"], "user_permissions": [1],
    "last_login": None, "created_at": "2020-01-01T00:00:00Z", "username_canonical": "ann", "_state": {},
    "profile": {"is_staff": True}, "__proto__": {"is_staff": True}, "password_hash": "!", "a/b~c": 1, "Username": "x",
}  # fmt: skip


# What a change of oneself may carry, and what else it may not: those have ways of their own.
SETTINGS = "/api/v1/users/me/settings"
CHANGES: dict[str, dict[str, Any]] = {ME: {"display_name": "Mallory", "locale": "de"}, SETTINGS: {"notify_sms": True}}
NO_CHANGES: dict[str, Any] = {
    **EXTRA, "email": "mallory@example.com", "password": PASSWORD, "delete_after": None, "status_reason": "x",
    "updated_at": "2020-01-01T00:00:00Z", "user_id": "01a2101e-30ab-7110-a909-a024da587fc4",
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


@pytest.fixture(scope="module")
def steady(web: Web) -> dict[str, Any]:
    """Somebody of whom nothing changes."""
    return web.register()


def kept_of(web: Web, user: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The whole row, the settings, and how many events and sessions there are."""
    whole = """
        select one::text, (select count(*) from accounts_session where user_id = one.id),
            (select settings::text from accounts_usersettings as settings where user_id = one.id),
            (select count(*) from events_outbox where key = one.id::text)
        from accounts_user as one where id = %s
    """
    return web.sql(whole, user["id"])


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("member", NO_CHANGES)
def test_a_change_sets_no_more_than_it_names(web: Web, steady: dict[str, Any], path: str, member: str) -> None:
    before, headers = kept_of(web, steady["user"]), bearer(steady["token"]) | {"If-Match": "*"}

    alone = web.call("PATCH", path, {member: NO_CHANGES[member]}, **headers)
    with_good = web.call("PATCH", path, {**CHANGES[path], member: NO_CHANGES[member]}, **headers)

    place = "/a~1b~0c" if member == "a/b~c" else f"/{member}"
    for answer in (alone, with_good):
        assert (answer.status, answer.codes) == (400, [(place, "unknown_field")])
    assert kept_of(web, steady["user"]) == before


@pytest.mark.parametrize("path", CHANGES)
def test_members_of_the_one_are_none_of_the_other(web: Web, steady: dict[str, Any], path: str) -> None:
    before, headers = kept_of(web, steady["user"]), bearer(steady["token"]) | {"If-Match": "*"}
    [others] = [members for other, members in CHANGES.items() if other != path]

    answer = web.call("PATCH", path, others, **headers)

    assert (answer.status, answer.codes) == (400, [(f"/{member}", "unknown_field") for member in others])
    assert kept_of(web, steady["user"]) == before


def test_a_member_that_stands_twice_changes_nothing(web: Web, steady: dict[str, Any]) -> None:
    before = kept_of(web, steady["user"])
    body = b'{"display_name": "Ann", "display_name": "Mallory"}'

    answer = web.call("PATCH", ME, body, **bearer(steady["token"]), If_Match="*")

    assert answer.told == (400, "malformed-request")
    assert kept_of(web, steady["user"]) == before


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
