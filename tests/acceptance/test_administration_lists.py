"""Lists of users for staff: filtered, searched, ordered, counted, and page by page while others write."""

from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.administering import EVERYTHING, MEMBERS, USERS, group, user
from tests.acceptance.web import Web, staff


@pytest.fixture(scope="module")
def admin(web: Web) -> dict[str, Any]:
    """Staff with every permission on users."""
    return staff(web, *EVERYTHING)


@pytest.fixture(scope="module")
def few(web: Web, admin: dict[str, Any]) -> dict[str, str]:
    """Seven users of all kinds, by the letters that their names end with; others are in the table as well."""
    at = "2026-10-{:02}T09:00:00Z".format
    kinds: dict[str, dict[str, Any]] = {
        "a": {"created_at": at(1), "email": "Other@Elsewhere.example"},
        "b": {"created_at": at(2), "email_verified": False},
        "c": {"created_at": at(2), "status": "suspended", "status_reason": "spam", "email_verified": False},
        "d": {"created_at": at(3), "status": "pending_deletion", "delete_after": at(30)},
        "e": {"created_at": at(4)},
        "f": {"created_at": at(5), "username": "CANARY%x_f", "email": "f@elsewhere.example"},
        "g": {"created_at": at(6), "status": "deleted"},
    }
    ids = {letter: user(web, f"Canary-{letter}", **kind) for letter, kind in kinds.items()}
    for letter, moment in (("a", at(8)), ("e", at(9))):
        web.sql("insert into accounts_lastlogin (user_id, at) values (%s, %s)", ids[letter], moment)
    return ids


def listed(web: Web, admin: dict[str, Any], few: dict[str, str], **parameters: str) -> str:
    """Whom of the seven a list has, by their letters, in its order; other tests' users stand among them."""
    letters = {user_id: letter for letter, user_id in few.items()}
    found, cursor = "", dict[str, str]()
    while True:
        page = web.read(USERS, admin["token"], page_size="100", **parameters, **cursor).json
        found += "".join(letters.get(item["id"], "") for item in page["items"])
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def test_a_user_is_told_whole_and_nothing_secret(web: Web, admin: dict[str, Any], few: dict[str, str]) -> None:
    name = group(web, few["c"])

    searched = {"search": "canary-", "page_size": "100"}
    items = {item["id"]: item for item in web.listed(USERS, admin["token"], **searched)}

    assert set(items[few["c"]]) == MEMBERS
    told = {member: items[few["c"]][member] for member in ("status", "status_reason", "groups", "last_login_at")}
    assert told == {"status": "suspended", "status_reason": "spam", "groups": [name], "last_login_at": None}
    assert items[few["e"]]["last_login_at"] == "2026-10-09T09:00:00Z"
    assert items[few["d"]]["delete_after"] == "2026-10-30T09:00:00Z"


@pytest.mark.parametrize(
    ("parameters", "letters"),
    [
        ({}, "fedcba"),
        ({"ordering": "-created_at"}, "fedcba"),
        ({"ordering": "created_at"}, "abcdef"),
        ({"ordering": "username"}, "fabcde"),
        ({"ordering": "-username"}, "edcbaf"),
        ({"status": "suspended"}, "c"),
        ({"status": "deleted"}, "g"),
        ({"status": "active"}, "feba"),
        ({"email_verified": "false"}, "cb"),
        ({"email_verified": "true", "status": "pending_deletion"}, "d"),
        ({"created_from": "2026-10-02T09:00:00Z", "created_to": "2026-10-04T09:00:00Z"}, "dcb"),
        ({"last_login_before": "2026-10-09T09:00:00Z"}, "a"),
        ({"search": "canary-"}, "edcba"),
        ({"search": "CANARY-b"}, "b"),
        ({"search": " \uff23anary-b "}, "b"),
        ({"search": "canary-", "ordering": "username"}, "abcde"),
        ({"search": "canary-", "ordering": "-username"}, "edcba"),
        ({"search": "canary-", "ordering": "created_at", "status": "suspended"}, "c"),
        ({"search": "other@elsewhere"}, "a"),
        ({"search": "OTHER"}, "a"),
        ({"search": "canary-b@example.com"}, "b"),
        ({"search": "anary"}, ""),
        ({"search": "canary_"}, ""),
        ({"search": "canary%"}, "f"),
        ({"search": "%"}, ""),
        ({"search": "canary%x_"}, "f"),
        ({"search": "canary\\"}, ""),
    ],
)
def test_a_list_has_those_who_are_asked_for_in_the_order_that_is(
    web: Web, admin: dict[str, Any], few: dict[str, str], parameters: dict[str, str], letters: str
) -> None:
    assert listed(web, admin, few, **parameters) == letters


def test_a_whole_id_finds_also_who_is_deleted(web: Web, admin: dict[str, Any], few: dict[str, str]) -> None:
    assert [listed(web, admin, few, search=few[letter]) for letter in "ag"] == ["a", "g"]
    assert listed(web, admin, few, search=str(uuid4())) == ""


def test_a_group_lists_its_members(web: Web, admin: dict[str, Any], few: dict[str, str]) -> None:
    both, nobody = group(web, few["b"], few["e"], few["g"]), group(web)

    assert listed(web, admin, few, group=both) == "eb"
    assert listed(web, admin, few, group=both, ordering="username", search="canary") == "be"
    assert listed(web, admin, few, group=nobody) == ""


def test_failed_sign_ins_are_counted(web: Web, admin: dict[str, Any]) -> None:
    opened = web.register()
    for _ in range(3):
        assert web.login(opened["user"]["username"], "CANARY-pw-wrong").status == 401

    [item] = web.listed(USERS, admin["token"], search=opened["user"]["id"])

    assert item["failed_logins"] == 3


@pytest.mark.parametrize("ordering", ["created_at", "-created_at", "username", "-username"])
@pytest.mark.parametrize("search", [{}, {"search": "paged-"}])
def test_pages_bring_each_user_once_while_others_write(
    web: Web, admin: dict[str, Any], ordering: str, search: dict[str, str]
) -> None:
    tag = uuid4().hex[:8]
    ids = [user(web, f"paged-{tag}-{n}", created_at=f"2026-09-01T09:00:{n // 3:02}Z") for n in range(8)]
    whole = [item["id"] for item in web.listed(USERS, admin["token"], page_size="100", ordering=ordering, **search)]
    found, cursor = list[str](), dict[str, str]()

    for n in range(len(whole)):
        page = web.read(USERS, admin["token"], page_size="3", ordering=ordering, **search, **cursor).json
        found += [item["id"] for item in page["items"]]
        # Somebody at either end, of names and of times.
        user(web, f"{'09'[n % 2]}-{tag}-{n}", created_at=f"{2020 + n % 2 * 10}-01-01T09:00:00Z")
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}

    assert [user_id for user_id in found if user_id in whole] == whole
    assert set(ids) <= set(found)


def test_the_number_of_all_is_told_to_who_asks(web: Web, admin: dict[str, Any], few: dict[str, str]) -> None:
    asked = {"search": "canary-", "page_size": "2"}
    first = web.read(USERS, admin["token"], count="true", **asked).json
    second = web.read(USERS, admin["token"], count="true", cursor=first["next"], **asked).json

    assert (first["count"], len(first["items"]), second["count"]) == (5, 2, 5)
    assert "count" not in web.read(USERS, admin["token"], **asked).json
    assert "count" not in web.read(USERS, admin["token"], count="false", cursor=first["next"], **asked).json


def test_a_cursor_is_good_for_its_filters_its_order_and_its_reader(
    web: Web, admin: dict[str, Any], few: dict[str, str]
) -> None:
    other = staff(web, "view_user")
    cursor = web.read(USERS, admin["token"], page_size="2").json["next"]
    refused = [
        web.read(USERS, admin["token"], cursor=cursor, status="active"),
        web.read(USERS, admin["token"], cursor=cursor, ordering="username"),
        web.read(USERS, admin["token"], cursor=cursor, search="canary"),
        web.read(USERS, other["token"], cursor=cursor),
    ]

    assert {(answer.status, *answer.codes) for answer in refused} == {(400, ("cursor", "invalid_cursor"))}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("status", "gone", "invalid_choice"),
        ("ordering", "email", "invalid_choice"),
        ("ordering", "created_at,id", "invalid_choice"),
        ("email_verified", "1", "invalid_type"),
        ("count", "yes", "invalid_type"),
        ("created_from", "yesterday", "invalid_time"),
        ("last_login_before", "2026-01-01", "invalid_time"),
        ("group", "no such group", "unknown_group"),
        ("group", "a\0b", "unknown_group"),
        ("search", "", "blank"),
        ("search", "  ", "blank"),
        ("search", "a\0b", "null_characters_not_allowed"),
        ("search", "x" * 255, "search_too_long"),
        ("page_size", "101", "invalid_page_size"),
        ("email", "x", "unknown_field"),
    ],
)
def test_a_wrong_parameter_is_refused(web: Web, admin: dict[str, Any], name: str, value: str, code: str) -> None:
    answer = web.read(USERS, admin["token"], **{name: value})

    assert (answer.status, answer.codes) == (400, [(name, code)])
