"""S01: a sign-in's answer tells who knows the password what is special about the account, and others nothing."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.administering import bar, chief_of
from tests.acceptance.web import LOGIN, PASSWORD, Answer, Web

FAILURES = "select reason, identifier_hash, user_id::text, outcome from accounts_loginrecord order by at, id"


@pytest.fixture
def someone(web: Web) -> dict[str, Any]:
    user: dict[str, Any] = web.register()["user"]
    return user


@pytest.fixture
def failures(web: Web) -> Any:
    """What the login log has of this test's failures, when it is called."""
    web.sql("delete from accounts_loginrecord")
    return lambda: web.sql(FAILURES)


def told(answer: Answer) -> tuple[object, ...]:
    body = {name: value for name, value in answer.json.items() if name != "request_id"}
    headers = [(name, value) for name, value in answer.headers.items() if name not in ("Date", "X-Request-ID")]
    return answer.status, headers, body


Barred = Callable[[str], str]


@pytest.fixture(scope="module")
def barred(web: Web) -> Barred:
    """Somebody new, whom an administrator has barred: the name."""
    chief = chief_of(web)

    def barred(status: str) -> str:
        user = web.register()["user"]
        bar(web, chief, user["id"], status)
        return str(user["username"])

    return barred


def test_whatever_is_wrong_is_answered_the_same(web: Web, barred: Barred) -> None:
    bob, unusable = web.register(username="bob", email="bob@example.com")["user"], web.register()["user"]
    web.unguarded("update accounts_user set password = '!' where id = %s", unusable["id"])
    assert bob["email_verified"] is False
    wrong = [
        ("bob", "wrong"), ("nobody", "wrong"), ("", "wrong"), ("bob", ""), ("nobody", ""), ("@", "wrong"),
        ("bob", "x" * 60_000), ("x" * 60_000, "wrong"), ("bob@nowhere", PASSWORD), ("an\u200bn", PASSWORD),
        (barred("suspended"), "wrong"), (barred("suspended"), ""), (barred("pending_deletion"), "wrong"),
        (barred("deleted"), "wrong"), (barred("deleted"), PASSWORD), (unusable["username"], "!"),
        (unusable["username"], PASSWORD),
    ]  # fmt: skip

    answers = [told(web.login(name, password)) for name, password in wrong]

    status, headers, body = answers[0]
    assert status == 401
    assert ("WWW-Authenticate", "Bearer") in headers  # type: ignore[operator]
    assert body == {
        "type": "http://localhost:8080/problems/invalid-credentials", "title": "Wrong name or password", "status": 401,
        "detail": "No account has this name and password.", "instance": LOGIN, "code": "invalid-credentials",
    }  # fmt: skip
    assert [answer for answer in answers if answer != answers[0]] == []


@pytest.mark.parametrize(
    ("status", "code"),
    [("suspended", "account-suspended"), ("pending_deletion", "account-pending-deletion")],
)
def test_the_right_password_learns_why_not(web: Web, barred: Barred, status: str, code: str) -> None:
    name = barred(status)

    answer = web.login(name)

    assert (answer.status, answer.json["code"]) == (403, code)
    logins = (
        "select count(*) from events_outbox join accounts_user as owner on key = owner.id::text"
        " where username = %s and type = 'user.logged_in'"
    )
    assert web.sql(logins, name) == [(0,)]


def test_a_deleted_user_is_nobody(web: Web, barred: Barred) -> None:
    assert web.login(barred("deleted")).json["code"] == "invalid-credentials"


def test_each_failure_is_one_row_of_the_login_log_and_one_line(
    web: Web, someone: dict[str, Any], barred: Barred, failures: Any
) -> None:
    suspended = barred("suspended")
    lines_before = len(web.log_lines())

    for name, password in [(someone["username"], "wrong"), ("no-such-name", "wrong"), (suspended, PASSWORD)]:
        web.login(name, password)

    rows = failures()
    assert [(reason, outcome) for reason, _, _, outcome in rows] == [
        ("wrong_password", "failure"), ("unknown_name", "failure"), ("not_active", "failure"),
    ]  # fmt: skip
    assert [rows[0][2], rows[1][2]] == [someone["id"], None]
    assert all(re.fullmatch("[0-9a-f]{64}", hashed) for _, hashed, _, _ in rows)
    written = web.log_lines()[lines_before:]
    lines = [json.loads(line) for line in written if '"sign-in failed"' in line]
    assert [(line["reason"], line["identifier_hash"]) for line in lines] == [row[:2] for row in rows]
    assert {line["level"] for line in lines} == {"WARNING"}
    assert not [line for line in written for name in ("no-such-name", someone["username"], suspended) if name in line]


def test_the_hash_in_the_login_log_is_the_same_for_each_spelling_of_a_name(web: Web, failures: Any) -> None:
    for name in ("no-such-name", "NO-SUCH-NAME", "\uff4eo-such-name", "another-name"):
        web.login(name, "wrong")

    hashes = [hashed for _, hashed, _, _ in failures()]
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


def test_a_failure_publishes_nothing_and_opens_no_session(
    web: Web, someone: dict[str, Any], barred: Barred
) -> None:  # fmt: skip
    counts = "select (select count(*) from events_outbox), (select count(*) from accounts_session)"
    names = [barred(status) for status in ("suspended", "pending_deletion", "deleted")]
    before = web.sql(counts)

    web.login(someone["username"], "wrong")
    web.login("nobody", "wrong")
    assert [web.login(name).status for name in names] == [403, 403, 401]

    assert web.sql(counts) == before
