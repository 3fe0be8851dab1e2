"""S29: who changes a user or settings says of which version, and of two who say the same one has read it in vain."""

from typing import Any

import pytest

from tests.acceptance.web import ME, Answer, Call, Web, bearer

SETTINGS = "/api/v1/users/me/settings"
PATHS = [ME, SETTINGS]


@pytest.fixture
def opened(web: Web) -> dict[str, Any]:
    """Somebody new, whose profile and settings are at version 1."""
    return web.register()


@pytest.fixture(scope="module")
def steady(web: Web) -> dict[str, Any]:
    """Somebody of whom nothing changes."""
    return web.register()


def changed(path: str, n: int) -> dict[str, Any]:
    """The n-th body, each unlike the one before."""
    return {"display_name": f"Ann {n}"} if path == ME else {"notify_sms": n % 2 == 0}


def patch(web: Web, path: str, token: str, etag: str | None, n: int = 0) -> Answer:
    headers = bearer(token) | ({} if etag is None else {"If-Match": etag})
    return web.call("PATCH", path, changed(path, n), **headers)


def state_of(web: Web, opened: dict[str, Any]) -> list[tuple[Any, ...]]:
    state = """
        select display_name, version, (select count(*) from events_outbox where key = one.id::text),
            (select row(notify_sms, version)::text from accounts_usersettings where user_id = one.id)
        from accounts_user as one where id = %s
    """
    return web.sql(state, opened["user"]["id"])


@pytest.mark.parametrize("path", PATHS)
def test_reading_tells_the_version_and_a_change_wants_it(web: Web, opened: dict[str, Any], path: str) -> None:
    token, etag = opened["token"], web.read(path, opened["token"]).headers["ETag"]
    before = state_of(web, opened)

    missing = patch(web, path, token, None)
    unchanged = state_of(web, opened)
    first = patch(web, path, token, etag)
    stale = patch(web, path, token, etag, 1)

    assert missing.told == (428, "precondition-required")
    assert unchanged == before
    assert (etag, first.status, first.headers["ETag"]) == ('"1"', 200, '"2"')
    assert (stale.told, stale.headers["ETag"]) == ((412, "precondition-failed"), '"2"')
    assert patch(web, path, token, stale.headers["ETag"], 1).headers["ETag"] == '"3"'


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "etag",
    [
        'W/"1"', '"2"', '"0"', '"01"', '"-1"', '"1.0"', '" 1"', '"1', "1", "'1'", '""', "", "**", '"*"', "null",
        '"1"-gzip', '"9999999999999999999"', '"' + "1" * 2000 + '"', 'W/"1", "2"', '"2", "3"',
    ],
)  # fmt: skip
def test_what_is_weak_stale_or_no_version_matches_nothing(
    web: Web, steady: dict[str, Any], path: str, etag: str
) -> None:
    before = state_of(web, steady)

    answer = patch(web, path, steady["token"], etag)

    assert answer.told == (412, "precondition-failed")
    assert answer.headers["ETag"] == '"1"'
    assert state_of(web, steady) == before


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("etag", ["*", '"1"', '"7", "1"', '"1","2"', ' W/"3" , "1" , x', " * "])
def test_one_of_several_is_enough_and_a_star_is_whichever(
    web: Web, opened: dict[str, Any], path: str, etag: str
) -> None:
    assert patch(web, path, opened["token"], etag).headers["ETag"] == '"2"'


@pytest.mark.parametrize("path", PATHS)
def test_of_twenty_who_have_read_the_same_one_changes_it(web: Web, opened: dict[str, Any], path: str) -> None:
    headers = bearer(opened["token"]) | {"If-Match": '"1"'}
    # Each of them a change, also of settings.
    calls = [Call("PATCH", path, changed(path, 2 * n), headers) for n in range(20)]

    answers = web.race(calls)

    assert sorted(answer.status for answer in answers) == [200] + [412] * 19
    [won] = [answer for answer in answers if answer.status == 200]
    assert {answer.headers["ETag"] for answer in answers} == {'"2"'}
    assert web.read(path, opened["token"]).json == won.json
    assert [event["version"] for event in web.published(opened["user"]["id"], "user.updated")] == [2]


def test_versions_of_all_changes_grow_by_one_in_the_order_of_their_events(web: Web, opened: dict[str, Any]) -> None:
    headers = bearer(opened["token"]) | {"If-Match": "*"}
    calls = [Call("PATCH", ME, changed(ME, n), headers) for n in range(20)]
    calls += [Call("PATCH", SETTINGS, changed(SETTINGS, n), headers) for n in range(2)]

    answers = web.race(calls)

    assert {answer.status for answer in answers} == {200}
    events = web.published(opened["user"]["id"], "user.updated")
    now = web.me(opened["token"]).json
    assert [event["version"] for event in events] == list(range(2, now["version"] + 1))
    assert sorted(answer.json["version"] for answer in answers[:20]) == sorted(
        event["version"] for event in events if "display_name" in event["changes"]
    )
    names = [event["changes"]["display_name"] for event in events if "display_name" in event["changes"]]
    assert (len(names), names[-1]) == (20, now["display_name"])


def test_a_change_of_settings_makes_what_was_read_of_the_user_stale(web: Web, opened: dict[str, Any]) -> None:
    assert patch(web, SETTINGS, opened["token"], '"1"').status == 200

    stale = patch(web, ME, opened["token"], '"1"')

    assert (stale.told, stale.headers["ETag"]) == ((412, "precondition-failed"), '"2"')
