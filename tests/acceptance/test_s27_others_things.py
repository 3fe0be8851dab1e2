"""S27: what is another's is not there: by an id, guessed or known, and by a cursor that was given to somebody else.

What a plain user reaches by an id is read from the description of the API; the administration's paths are S28's.
"""

from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.web import Answer, Web, bearer
from tests.openapi import WRITTEN

METHODS = ("get", "post", "patch", "delete")
PATHS: dict[str, Any] = WRITTEN["paths"]
OF_USERS = [path for path in PATHS if path.startswith("/api/v1/") and not path.startswith("/api/v1/admin/")]
# What users see of each other.
PROFILE = "/api/v1/users/{user_id}/profile"
BY_ID = [path for path in OF_USERS if "{" in path and path != PROFILE]


def parameters_of(path: str) -> set[str]:
    return {one.get("name") for one in PATHS[path].get("get", {}).get("parameters", [])}


LISTS = [path for path in OF_USERS if "cursor" in parameters_of(path)]


@pytest.fixture
def owner(web: Web) -> dict[str, Any]:
    """Somebody with two rows in each list."""
    opened = web.register()
    web.sign_in(opened["user"])
    web.sql(
        "insert into accounts_loginrecord (id, user_id, at, outcome, device, network)"
        " select gen_random_uuid(), %s, now(), 'success', '', '' from generate_series(1, 2)",
        opened["user"]["id"],
    )
    web.sql(
        "insert into accounts_securityrecord (event_id, user_id, at, kind, device)"
        " select gen_random_uuid(), %s, now(), 'new_device', '' from generate_series(1, 2)",
        opened["user"]["id"],
    )
    return opened


@pytest.fixture
def eve(web: Web) -> dict[str, Any]:
    """Somebody else."""
    return web.register()


def state_of(web: Web, opened: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The whole user, the sessions, and how many events there are."""
    state = """
        select one::text, (select count(*) from events_outbox where key = one.id::text),
            (select string_agg(session::text, ' ' order by id) from accounts_session as session where user_id = one.id)
        from accounts_user as one where id = %s
    """
    return web.sql(state, opened["user"]["id"])


def told(answer: Answer, path: str) -> tuple[object, ...]:
    """All of a refusal but for what names the request."""
    body = {name: value for name, value in answer.json.items() if name != "request_id"}
    return answer.status, body.pop("instance") == path, body


def ids_of(opened: dict[str, Any]) -> dict[str, str]:
    """Every kind of id that stands in a path."""
    return {"session_id": opened["session_id"], "user_id": opened["user"]["id"]}


def test_the_description_has_paths_and_lists_to_try() -> None:
    assert "/api/v1/users/me/sessions/{session_id}" in BY_ID
    assert len(LISTS) >= 3


@pytest.mark.parametrize("path", BY_ID)
def test_anothers_thing_is_as_little_there_as_none(
    web: Web, owner: dict[str, Any], eve: dict[str, Any], path: str
) -> None:
    before = state_of(web, owner), state_of(web, eve)
    nowhere = {name: str(uuid4()) for name in ids_of(owner)}

    for method in METHODS:
        answers = {
            at: web.call(method.upper(), at, **bearer(eve["token"]), If_Match="*")
            for at in (path.format(**ids_of(owner)), path.format(**nowhere))
        }
        expected = (404, "not-found") if method in PATHS[path] else (405, "method-not-allowed")
        assert [answer.told for answer in answers.values()] == [expected] * 2
        of_another, of_nobody = (told(answer, at) for at, answer in answers.items())
        assert of_another == of_nobody

    assert (state_of(web, owner), state_of(web, eve)) == before
    # Its owner finds it.
    [method] = PATHS[path]
    own = web.call(method.upper(), path.format(**ids_of(owner)), **bearer(owner["token"]))
    assert own.status == 204


@pytest.mark.parametrize("path", BY_ID)
@pytest.mark.parametrize("id_", ["me", "1", "0" * 32, "' or 1=1", "..%2f..", "null", "A" * 2000, "%00"])
def test_what_is_no_id_is_not_there_either(web: Web, eve: dict[str, Any], path: str, id_: str) -> None:
    at = path.format(**dict.fromkeys(ids_of(eve), id_)).replace(" ", "%20")

    for method in PATHS[path]:
        answer = web.call(method.upper(), at, **bearer(eve["token"]))
        assert answer.told == (404, "not-found")
    assert web.me(eve["token"]).status == 200


@pytest.mark.parametrize("path", LISTS)
def test_a_cursor_is_good_for_whom_and_for_what_it_was_given(
    web: Web, owner: dict[str, Any], eve: dict[str, Any], path: str
) -> None:
    cursor = web.read(path, owner["token"], page_size="1").json["next"]
    others = [other for other in LISTS if other != path]

    refused = [web.read(path, eve["token"], cursor=cursor)]
    refused += [web.read(other, owner["token"], cursor=cursor) for other in others]
    filters = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "outcome": "success"}
    for name in parameters_of(path) & set(filters):
        refused.append(web.read(path, owner["token"], cursor=cursor, **{name: filters[name]}))

    assert {answer.told for answer in refused} == {(400, "validation-error")}
    assert {tuple(answer.codes) for answer in refused} == {(("cursor", "invalid_cursor"),)}
    assert web.listed(path, owner["token"], cursor=cursor) != []


@pytest.mark.parametrize("path", LISTS)
def test_a_list_has_nothing_of_others(web: Web, owner: dict[str, Any], eve: dict[str, Any], path: str) -> None:
    assert len(web.listed(path, owner["token"])) == 2

    rows = web.listed(path, eve["token"])

    assert [row["id"] for row in rows] == ([eve["session_id"]] if path.endswith("/sessions") else [])
