"""Sessions and logs page by page: each row once, whatever is written meanwhile, and only for whom a page is meant."""

import json
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.core import signing

from tests.acceptance.web import Web, bearer

SESSIONS = "/api/v1/users/me/sessions"
LOGIN_LOG, SECURITY_LOG = "/api/v1/users/me/login-log", "/api/v1/users/me/security-log"
LISTS = [SESSIONS, LOGIN_LOG, SECURITY_LOG]


@pytest.fixture
def opened(web: Web) -> dict[str, Any]:
    """Somebody new, in a first session."""
    return web.register()


# pages -------------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(web: Web, opened: dict[str, Any]) -> dict[str, Any]:
    """Somebody with seven rows in each list, several at the same instant."""
    user_id = opened["user"]["id"]
    web.sql(
        "insert into accounts_session"
        " (id, user_id, device, user_agent, auth_time, created_at, last_used_at, expires_at)"
        " select ('0000000' || n || substr(gen_random_uuid()::text, 9))::uuid, user_id, n::text, '', now(), now(),"
        " now(), expires_at from accounts_session, generate_series(1, 6) as n where id = %s",
        opened["session_id"],
    )
    web.sql(
        "insert into accounts_loginrecord (id, user_id, at, outcome, device, network)"
        " select gen_random_uuid(), %s, timestamptz '2026-11-01 09:00Z' + n / 2 * interval '1 h',"
        " case n %% 3 when 0 then 'failure' else 'success' end, n::text, '' from generate_series(1, 7) as n",
        user_id,
    )
    web.sql(
        "insert into accounts_securityrecord (event_id, user_id, at, kind, device)"
        " select gen_random_uuid(), %s, timestamptz '2026-11-01 09:00Z' + n / 2 * interval '1 h', 'new_device', n::text"
        " from generate_series(1, 7) as n",
        user_id,
    )
    return opened


@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize("path", LISTS)
def test_pages_bring_each_row_once(web: Web, busy: dict[str, Any], path: str, size: int) -> None:
    whole, found, link = web.listed(path, busy["token"]), list[dict[str, Any]](), f"{path}?page_size={size}"
    assert len(whole) == 7

    while link:
        answer = web.call("GET", link, **bearer(busy["token"]))
        assert len(answer.json["items"]) <= size
        found += answer.json["items"]
        link = (answer.headers["Link"] or "").partition(">")[0].lstrip("<")
        assert (answer.json["next"] is None) == (link == "")
        if link:
            assert answer.headers["Link"].endswith('rel="next"')
            assert parse_qs(urlsplit(link).query)["cursor"] == [answer.json["next"]]

    assert found == whole


@pytest.mark.parametrize("path", LISTS)
def test_what_is_written_meanwhile_moves_no_page(web: Web, busy: dict[str, Any], path: str) -> None:
    whole = web.listed(path, busy["token"])
    first = web.read(path, busy["token"], page_size="3").json
    web.sign_in(busy["user"])
    web.sql("delete from accounts_loginrecord where device = '6' and user_id = %s", busy["user"]["id"])
    web.sql("delete from accounts_securityrecord where device = '6' and user_id = %s", busy["user"]["id"])

    rest = web.listed(path, busy["token"], page_size="100", cursor=first["next"])

    assert first["items"] + rest == whole


@pytest.mark.parametrize("path", LISTS)
def test_a_cursor_is_good_for_its_user_its_list_and_its_filter(web: Web, busy: dict[str, Any], path: str) -> None:
    cursor, stranger = web.read(path, busy["token"], page_size="2").json["next"], web.register()
    other_list = next(other for other in LISTS if other != path)
    middle = len(cursor) // 2
    refused = [
        web.read(path, stranger["token"], cursor=cursor),
        web.read(other_list, busy["token"], cursor=cursor),
        web.read(path, busy["token"], cursor=cursor[:-1]),
        web.read(
            path, busy["token"], cursor=cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1 :]
        ),
        web.read(path, busy["token"], cursor="nonsense"),
        web.read(path, busy["token"], cursor="\u0430:b:c"),
        web.read(path, busy["token"], cursor="A" * 4000),
    ]
    if path != SESSIONS:
        refused.append(web.read(path, busy["token"], cursor=cursor, to="2027-01-01T00:00:00Z"))

    assert {(answer.status, answer.json["code"]) for answer in refused} == {(400, "validation-error")}
    assert {tuple(answer.codes) for answer in refused} == {(("cursor", "invalid_cursor"),)}


def test_a_cursor_of_a_version_before_is_refused(web: Web, busy: dict[str, Any]) -> None:
    """Rows had numbers once; what is signed may be so still."""
    filters = {"from": "None", "to": "None"}
    scope = json.dumps(["accounts.page", SECURITY_LOG, busy["user"]["id"], filters], sort_keys=True)
    place = ["2026-11-24T12:00:00+00:00"]
    known, former = (
        signing.dumps([*place, row], key=web.environ["SECRET_KEY"], salt=scope) for row in (busy["user"]["id"], "123")
    )

    assert web.read(SECURITY_LOG, busy["token"], cursor=known).status == 200
    assert web.read(SECURITY_LOG, busy["token"], cursor=former).codes == [("cursor", "invalid_cursor")]


@pytest.mark.parametrize("size", ["0", "101", "-1", "1.5", "x", "00010", "\u0661", "", "9" * 500])
def test_a_page_has_1_to_100_rows(web: Web, opened: dict[str, Any], size: str) -> None:
    answer = web.read(SESSIONS, opened["token"], page_size=size)

    assert (answer.status, answer.codes) == (400, [("page_size", "invalid_page_size")])


@pytest.mark.parametrize("path", LISTS)
def test_a_parameter_that_is_not_known_or_comes_twice_is_refused(web: Web, opened: dict[str, Any], path: str) -> None:
    headers = bearer(opened["token"])

    assert web.call("GET", f"{path}?user_id=x", **headers).codes == [("user_id", "unknown_field")]
    assert web.call("GET", f"{path}?page_size=1&page_size=2", **headers).codes == [("page_size", "repeated")]


# logs --------------------------------------------------------------------------------------------------------


def test_the_login_log_has_failures_with_their_reason_and_nothing_of_others(web: Web, opened: dict[str, Any]) -> None:
    web.register()
    assert web.login(opened["user"]["email"], "CANARY-pw-wrong").status == 401
    assert web.login("nobody-at-all", "CANARY-pw-wrong").status == 401

    [item] = web.listed(LOGIN_LOG, opened["token"])

    assert item.pop("at").endswith("Z")
    assert item.pop("id")
    assert item == {
        "outcome": "failure", "reason": "wrong_password", "session_id": None, "device_name": "", "ip": "127.0.0.1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "devices"),
    [
        ({}, "7654321"),
        ({"from": "2026-11-01T11:00:00Z"}, "7654"),
        ({"to": "2026-11-01T11:00:00Z"}, "321"),
        ({"from": "2026-11-01T10:00:00Z", "to": "2026-11-01T11:00:00+00:00"}, "32"),
        ({"from": "2026-11-01T12:00:00+02:00", "to": "2026-11-01T11:00:00Z"}, "32"),
        ({"from": "2026-11-01T11:00:00Z", "to": "2026-11-01T10:00:00Z"}, ""),
    ],
)
@pytest.mark.parametrize("path", [LOGIN_LOG, SECURITY_LOG])
def test_logs_are_read_from_a_time_to_another(
    web: Web, busy: dict[str, Any], path: str, parameters: dict[str, str], devices: str
) -> None:
    found = web.listed(path, busy["token"], **parameters)

    assert sorted((item["device_name"] for item in found), reverse=True) == list(devices)
    assert [item["at"] for item in found] == sorted((item["at"] for item in found), reverse=True)


@pytest.mark.parametrize(("outcome", "devices"), [("failure", "36"), ("success", "12457")])
def test_the_login_log_is_filtered_by_outcome(web: Web, busy: dict[str, Any], outcome: str, devices: str) -> None:
    found = web.listed(LOGIN_LOG, busy["token"], outcome=outcome)

    assert sorted(item["device_name"] for item in found) == list(devices)
    assert {item["outcome"] for item in found} == {outcome}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("from", "yesterday"), ("to", "2026-11-01"), ("from", "2026-11-01T09:00:00"), ("to", "2026-02-30T09:00:00Z"),
        ("from", "9999999999"), ("to", ""), ("outcome", "maybe"), ("outcome", ""),
        ("from", "0001-01-01T00:00:00+23:59"), ("to", "9999-12-31T23:59:59-23:59"),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_read_is_told_by_its_name(
    web: Web, opened: dict[str, Any], name: str, value: str
) -> None:
    answer = web.call("GET", f"{LOGIN_LOG}?{name}={quote(value)}", **bearer(opened["token"]))

    assert answer.status == 400
    assert [place for place, _ in answer.codes] == [name]
