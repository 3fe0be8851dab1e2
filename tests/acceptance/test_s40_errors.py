"""S40: an error tells its code and its request_id and nothing of the inside, wherever it happens."""

import re
import time
from typing import Any

import pytest

from tests.acceptance.visiting import visitor
from tests.acceptance.web import LOGIN, ME, PASSWORD, REGISTER, Answer, Call, Web, bearer

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "errors", "request_id"}
INSIDE = re.compile(
    rb"Traceback|django|psycopg|postgres|SELECT|relation|accounts|site-packages|\.py|gunicorn|127\.0\.0\.1",
    re.IGNORECASE,
)


def assert_problem(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.body
    told = answer.json
    assert set(told) <= MEMBERS
    assert (told["status"], told["code"]) == (status, code)
    assert told["type"].endswith(f"/problems/{code}")
    assert told["request_id"] == answer.headers["X-Request-ID"]
    assert INSIDE.search(answer.body) is None
    assert not re.search(r"\d", answer.headers["Server"])


def body(name: str) -> dict[str, str]:
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD}


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/", "/api/v1", "/api/v1/nothing", "/api/v1/users", "/api/v2/users/me", "/.well-known/nothing",
     "/api/v1/users/me/", "/api/v1/users/7/profile", "/api/%00", "/api/%ff", "/api/v1/users/../../admin"],
)  # fmt: skip
def test_an_unknown_path_is_a_problem_of_its_own(web: Web, path: str) -> None:
    assert_problem(web.call("GET", path), 404, "not-found")
    assert_problem(web.call("POST", path, {}), 404, "not-found")


def test_a_foreign_host_is_refused_as_a_problem(web: Web) -> None:
    assert_problem(web.call("GET", ME, Host="evil.example"), 400, "malformed-request")
    assert web.call("GET", "/healthz", Host="10.0.0.7").status == 200


def test_a_forged_form_to_the_admin_is_refused_without_detail(web: Web) -> None:
    headers = {"Content_Type": "application/x-www-form-urlencoded"}

    answer = web.call("POST", "/admin/login/", b"username=a&password=b", **headers)

    assert answer.status == 403
    assert b"Traceback" not in answer.body
    assert b"settings" not in answer.body


def test_a_fault_inside_is_a_plain_500_and_nothing_is_half_done(web: Web) -> None:
    token = web.register()["token"]
    before = web.sql("select (select count(*) from accounts_user), (select count(*) from events_outbox)")
    web.sql("alter table accounts_session rename to accounts_session_away")
    try:
        registered, read = web.call("POST", REGISTER, body("halfway")), web.call("GET", ME, **bearer(token))
    finally:
        web.sql("alter table accounts_session_away rename to accounts_session")

    assert_problem(registered, 500, "internal-error")
    assert_problem(read, 500, "internal-error")
    assert web.sql("select (select count(*) from accounts_user), (select count(*) from events_outbox)") == before
    assert web.call("POST", REGISTER, body("halfway")).status == 201
    failed = [line for line in web.log_lines() if '"request failed"' in line]
    assert any("ProgrammingError" in line and "_register" in line for line in failed)


def test_a_database_that_is_away_is_a_503_until_it_is_back(web: Web) -> None:
    registered = web.register()
    authorised = bearer(registered["token"])
    profile = f"/api/v1/users/{registered['user']['id']}/profile"
    with web.without_database(registered["token"]):
        *answers, alive, page = web.race(
            [
                Call("POST", REGISTER, body("cutoff")),
                Call("POST", LOGIN, {"identifier": registered["user"]["username"], "password": PASSWORD}),
                Call("GET", ME, headers=authorised),
                Call("GET", profile, headers=authorised),
                Call("GET", "/healthz"),
                Call("GET", "/admin/", headers={"Cookie": "sessionid=abcdefgh"}),
            ]
        )
        ready = not_ready(web)

    for answer in answers:
        assert_problem(answer, 503, "unavailable")
        assert answer.headers["Retry-After"] == "2"
    assert_problem(ready, 503, "unavailable")
    assert ready.json["detail"] == "Not answering: database."
    assert (alive.status, alive.json) == (200, {"status": "ok"})
    assert page.status in (500, 503)
    assert INSIDE.search(page.body) is None
    assert web.call("POST", REGISTER, body("cutoff")).status == 201
    assert web.call("GET", ME, **authorised).status == 200


@pytest.mark.usefixtures("cache_is_asked")
def test_a_cache_that_is_away_changes_nothing_and_is_told_once(web: Web) -> None:
    registered = web.register(display_name="Ann")
    profile = f"/api/v1/users/{registered['user']['id']}/profile"
    told_before = times_told(web, "cache away")

    with web.cache.refusing():
        answers = [web.call("GET", profile, **bearer(registered["token"])) for _ in range(20)]

    expected = {"id": registered["user"]["id"], "username": registered["user"]["username"], "display_name": "Ann"}
    assert [answer.status for answer in answers] == [200] * 20
    assert answers[0].json == {**expected, "version": 1}
    # Each of the two workers tells it once.
    assert 1 <= times_told(web, "cache away") - told_before <= 2


def test_a_cache_that_is_away_opens_no_door_to_guessing(guarded: Web) -> None:
    eve, name = visitor(guarded), guarded.register()["user"]["username"]

    with guarded.cache.refusing():
        failed = eve.fails(name, 11)
        right = eve.login(name)

    assert failed == [401] * 10 + [429]
    assert_problem(right, 429, "rate-limited")


def not_ready(web: Web) -> Answer:
    """The first answer of its kind: a good one may be a second old."""
    deadline = time.monotonic() + 20
    while (answer := web.call("GET", "/readyz")).status == 200:
        assert time.monotonic() < deadline
    return answer


def times_told(web: Web, event: str) -> int:
    return sum(f'"{event}"' in line for line in web.log_lines())


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abcdefgh", True), ("0193-ABC-" + "9" * 55, True), ("short", False), ("x" * 65, False), ("a b c d e f", False),
     ("0193/../etc", False), ("", False)],
)  # fmt: skip
def test_a_request_id_is_kept_if_it_is_harmless(web: Web, given: str, kept: bool) -> None:  # noqa: FBT001 - a table
    answer = web.call("GET", ME, X_Request_ID=given)

    assert (answer.headers["X-Request-ID"] == given) is kept
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert len(answer.headers["X-Request-ID"]) >= 8


def test_no_secret_gets_into_the_log(web: Web) -> None:
    registered = web.register()
    with web.without_database(registered["token"]):
        login = {"identifier": "unlucky", "password": PASSWORD}
        web.race([Call("POST", REGISTER, body("unlucky")), Call("POST", LOGIN, login)])
    web.login(registered["user"]["username"], "CANARY-pw-wrong")
    web.call("GET", ME, Authorization=f"Bearer {registered['token']}x")
    web.call("GET", f"{ME}?token=CANARY-sec-query", **bearer(registered["token"]))

    log: Any = web.log.read_text()

    assert "CANARY" not in log
    assert registered["token"] not in log
    assert "@example.com" not in log
    assert '"route": "api/v1/users/register"' in log
