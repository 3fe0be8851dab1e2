"""S28: who is no staff, or lacks the permission, administers nothing; who has it rises no higher by it."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from drf_spectacular.generators import SchemaGenerator

from tests.acceptance.administering import EVERYTHING, USERS, act, actors, change, group, of, user
from tests.acceptance.web import Answer, Web, bearer, staff, superuser
from tests.waiting import wait_for

REASON = {"reason": "because"}
# Each operation's permission, a body that is fine, and the status when it is done to somebody who allows it.
OPERATIONS: Mapping[tuple[str, str], tuple[str, Any, int]] = {
    ("get", ""): ("view_user", None, 200),
    ("post", ""): ("add_user", {}, 201),
    ("get", "/{user_id}"): ("view_user", None, 200),
    ("patch", "/{user_id}"): ("change_user", {"locale": "de"}, 200),
    ("post", "/{user_id}/suspend"): ("change_user", REASON, 200),
    ("post", "/{user_id}/reactivate"): ("change_user", REASON, 409),
    ("post", "/{user_id}/delete"): ("delete_user", REASON, 202),
    ("post", "/{user_id}/restore"): ("change_user", None, 409),
    ("post", "/{user_id}/unlock"): ("change_user", REASON, 204),
    ("post", "/{user_id}/password-reset"): ("change_user", None, 202),
    ("get", "/{user_id}/sessions"): ("view_user", None, 200),
    ("delete", "/{user_id}/sessions"): ("change_user", None, 204),
    ("get", "/{user_id}/sessions/{session_id}"): ("view_user", None, 404),
    ("delete", "/{user_id}/sessions/{session_id}"): ("change_user", None, 404),
    ("get", "/{user_id}/login-log"): ("view_user", None, 200),
    ("get", "/{user_id}/security-log"): ("view_user", None, 200),
    ("get", "/{user_id}/events"): ("view_user", None, 200),
}
# What changes a user who is named.
ACTS = [operation for operation in OPERATIONS if operation[0] != "get" and operation[1]]
FORBIDDEN = (403, "forbidden")
WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


def named(operation: tuple[str, str]) -> str:
    return " ".join(operation)


@pytest.fixture(scope="module")
def admin(web: Web) -> dict[str, Any]:
    """Staff with every permission on users."""
    return staff(web, *EVERYTHING)


@pytest.fixture(scope="module")
def lacking(web: Web) -> Mapping[str, dict[str, Any]]:
    """Staff with every permission but the one that they are under."""
    return {name: staff(web, *(other for other in EVERYTHING if other != name)) for name in EVERYTHING}


@pytest.fixture
def somebody(web: Web) -> str:
    return user(web, f"s{uuid4().hex[:12]}")


def run(web: Web, operation: tuple[str, str], user_id: str, by: Mapping[str, Any] | None) -> Answer:
    """Ask for it, done to this user."""
    method, path = operation
    _, body, _ = OPERATIONS[operation]
    if operation == ("post", ""):
        name = f"n{uuid4().hex[:12]}"
        body = {"username": name, "email": f"{name}@example.com"}
    headers = {**(bearer(by["token"]) if by else {}), **({"If_Match": "*"} if method == "patch" else {})}
    where = path.replace("{user_id}", user_id).replace("{session_id}", str(uuid4()))
    return web.call(method.upper(), USERS + where, body, **headers)


def everything(web: Web) -> list[tuple[Any, ...]]:
    """What a refusal must leave as it is."""
    return web.sql(
        "select (select jsonb_agg(to_jsonb(one) order by id) from accounts_user as one),"
        " (select count(*) from events_outbox), (select count(*) from accounts_securityrecord),"
        " (select count(*) from accounts_session where ended_at is not null),"
        " (select count(*) from accounts_outsidecall)"
    )


def counts(web: Web, user_id: str) -> list[tuple[Any, ...]]:
    """What an act on this user, or one that makes another, would add to."""
    return web.sql(
        "select version, (select count(*) from accounts_user), (select count(*) from events_outbox),"
        " (select count(*) from accounts_securityrecord), (select count(*) from accounts_outsidecall)"
        " from accounts_user where id = %s",
        user_id,
    )


# the matrix --------------------------------------------------------------------------------------------------


def test_the_matrix_has_every_operation_that_is_described() -> None:
    described = json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True)))  # type: ignore[no-untyped-call]  # it has no types

    found = {
        (method, path.removeprefix(USERS))
        for path, methods in described["paths"].items()
        for method in methods
        if path.startswith("/api/v1/admin/")
    }
    assert found == set(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_an_operation_is_for_staff_who_have_its_permission(
    web: Web, admin: dict[str, Any], lacking: Mapping[str, dict[str, Any]], operation: tuple[str, str], somebody: str
) -> None:
    permission, _, done = OPERATIONS[operation]
    plain = web.register()
    before = everything(web)

    assert run(web, operation, somebody, None).told == (401, "invalid-token")
    assert run(web, operation, somebody, plain).told == FORBIDDEN
    assert run(web, operation, somebody, lacking[permission]).told == FORBIDDEN
    assert everything(web) == before
    assert run(web, operation, somebody, admin).status == done


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_permissions_without_being_staff_are_nothing(web: Web, operation: tuple[str, str], somebody: str) -> None:
    former = staff(web, *EVERYTHING)
    web.unguarded("update accounts_user set is_staff = false where id = %s", former["user"]["id"])

    assert run(web, operation, somebody, former).told == FORBIDDEN


def test_deleting_at_once_needs_a_permission_of_its_own(
    web: Web, admin: dict[str, Any], lacking: Mapping[str, dict[str, Any]], somebody: str
) -> None:
    at_once = {**REASON, "immediately": True}

    assert act(web, lacking["delete_user_immediately"], of(somebody, "delete"), at_once).told == FORBIDDEN
    assert web.sql("select status from accounts_user where id = %s", somebody) == [("active",)]
    assert act(web, lacking["delete_user"], of(somebody, "delete"), at_once).told == FORBIDDEN
    assert act(web, admin, of(somebody, "delete"), at_once).status == 202


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one[1]], ids=named)
def test_nobody_is_not_found_by_whoever_may_ask(web: Web, admin: dict[str, Any], operation: tuple[str, str]) -> None:
    assert run(web, operation, str(uuid4()), admin).told == (404, "not-found")


# what staff may not --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ACTS, ids=named)
def test_nobody_acts_on_themselves_or_on_who_may_do_more(
    web: Web, admin: dict[str, Any], operation: tuple[str, str]
) -> None:
    root, other, member = superuser(web), staff(web, "add_group"), staff(web)
    permitted = "select id, (select id from auth_permission where codename = 'add_group') from auth_group"
    of_group = f"insert into auth_group_permissions (group_id, permission_id) {permitted} where name = %s"
    web.sql(of_group, group(web, member["user"]["id"]))
    before = everything(web)

    assert run(web, operation, admin["user"]["id"], admin).told == FORBIDDEN
    assert run(web, operation, root["user"]["id"], admin).told == FORBIDDEN
    assert run(web, operation, other["user"]["id"], admin).told == FORBIDDEN
    assert run(web, operation, member["user"]["id"], admin).told == FORBIDDEN
    assert run(web, operation, root["user"]["id"], root).told == FORBIDDEN
    assert everything(web) == before


@pytest.mark.parametrize("operation", ACTS, ids=named)
def test_a_superuser_acts_on_another(web: Web, operation: tuple[str, str]) -> None:
    root, other = superuser(web), superuser(web)

    assert run(web, operation, other["user"]["id"], root).status == OPERATIONS[operation][2]


def test_nobody_grants_a_group_that_they_are_not_in(web: Web, admin: dict[str, Any], somebody: str) -> None:
    mine, anothers = group(web, admin["user"]["id"]), group(web, somebody)
    new = {"username": f"n{uuid4().hex[:12]}", "email": f"{uuid4().hex}@example.com"}
    before = everything(web)

    refused = [
        change(web, admin, somebody, {"groups": [], "locale": "de"}),
        change(web, admin, somebody, {"groups": [mine]}),
        act(web, admin, USERS, {**new, "groups": [mine, anothers]}),
    ]

    assert {answer.told for answer in refused} == {FORBIDDEN}
    assert everything(web) == before
    assert change(web, admin, somebody, {"groups": [mine, anothers]}).json["groups"] == sorted([mine, anothers])
    assert act(web, admin, USERS, {**new, "groups": [mine]}).json["groups"] == [mine]


@pytest.mark.parametrize("member", ["is_staff", "is_superuser", "user_permissions", "password"])
def test_nobody_is_raised_or_given_a_password_here(web: Web, somebody: str, member: str) -> None:
    root = superuser(web)
    new = {"username": f"n{uuid4().hex[:12]}", "email": f"{uuid4().hex}@example.com"}

    told = [change(web, root, somebody, {member: True}), act(web, root, USERS, {**new, member: True})]

    assert [(answer.status, answer.codes) for answer in told] == [(400, [(f"/{member}", "unknown_field")])] * 2


@pytest.mark.parametrize("operation", [("post", ""), *ACTS], ids=named)
@pytest.mark.parametrize(
    ("taken", "told"),
    [
        ("update accounts_user set is_staff = false where id = %s", FORBIDDEN),
        ("update accounts_user set status = 'suspended' where id = %s", FORBIDDEN),
        ("update accounts_session set ended_at = now() where user_id = %s", (401, "session-revoked")),
    ],
    ids=["no staff any more", "barred", "session ended"],
)
def test_who_loses_the_right_before_it_is_done_does_nothing(
    web: Web, somebody: str, operation: tuple[str, str], taken: str, told: tuple[int, str]
) -> None:
    by = staff(web, *EVERYTHING)
    before = counts(web, somebody)
    with psycopg.connect(web.dsn) as holding, ThreadPoolExecutor(1) as pool:
        holding.execute("select accounts_unguarded('a test')")
        holding.execute("select id from accounts_user where id = %s for no key update", (by["user"]["id"],))
        asked = pool.submit(run, web, operation, somebody, by)
        wait_for(lambda: web.sql(WAITING) == [(1,)])
        holding.execute(taken, (by["user"]["id"],))
        holding.commit()

    assert asked.result().told == told
    assert counts(web, somebody) == before


# what is kept of it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ACTS, ids=named)
def test_every_act_says_who_did_it(web: Web, admin: dict[str, Any], operation: tuple[str, str]) -> None:
    opened = web.register()
    user_id, by = opened["user"]["id"], admin["user"]["id"]
    # So that there is something to be ended.
    prepare = {"reactivate": "suspend", "restore": "delete"}.get(operation[1].rpartition("/")[2])
    if prepare:
        assert act(web, admin, of(user_id, prepare), REASON).status in (200, 202)
    before = actors(web, user_id)
    noted = "select actor_id::text from accounts_securityrecord where user_id = %s"

    if operation[1].endswith("{session_id}"):
        answer = web.call("DELETE", of(user_id, f"sessions/{opened['session_id']}"), **bearer(admin["token"]))
    else:
        answer = run(web, operation, user_id, admin)

    assert answer.status in (200, 202, 204)
    traces = [actor for _, *actor in actors(web, user_id)[len(before) :]]
    records = [["staff", actor] for (actor,) in web.sql(noted, user_id)]
    assert traces + records == [["staff", by]]
