"""PATCH /users/me and /users/me/settings: what becomes another, and how; the rest stays, and no change is told."""

from typing import Any

import pytest

from tests.acceptance.web import ME, PASSWORD, REAUTHENTICATE, Answer, Call, Web, bearer

SETTINGS = "/api/v1/users/me/settings"
MERGE = "application/merge-patch+json"


@pytest.fixture
def opened(web: Web) -> dict[str, Any]:
    """Somebody new, in a first session."""
    return web.register()


@pytest.fixture(scope="module")
def steady(web: Web) -> dict[str, Any]:
    """Somebody of whom nothing changes."""
    return web.register()


def patch(web: Web, path: str, token: str, body: Any, **headers: str) -> Answer:
    return web.call("PATCH", path, body, **bearer(token), If_Match="*", **headers)


def told_of(web: Web, opened: dict[str, Any]) -> list[dict[str, Any]]:
    """What user.updated told, without the time."""
    events = web.published(opened["user"]["id"], "user.updated")
    return [{"version": event["version"], "changes": event["changes"]} for event in events]


# the profile -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("member", "sent", "kept"),
    [
        ("display_name", " Ann\u00a0B. ", "Ann\u00a0B."), ("display_name", "A\u030a", "\u00c5"),
        ("locale", "pt-BR", "pt-BR"), ("time_zone", "Europe/Zurich", "Europe/Zurich"),
    ],
)  # fmt: skip
def test_a_member_becomes_another_and_is_published(
    web: Web, opened: dict[str, Any], member: str, sent: str, kept: str
) -> None:
    answer = patch(web, ME, opened["token"], {member: sent}, Content_Type=MERGE)

    assert answer.status == 200
    now = answer.json
    assert (now[member], now["version"], answer.headers["ETag"]) == (kept, 2, '"2"')
    unlike = {member, "version", "updated_at"}
    assert {name: now[name] for name in now if name not in unlike} == {
        name: value for name, value in opened["user"].items() if name not in unlike
    }
    assert web.me(opened["token"]).json == now
    assert told_of(web, opened) == [{"version": 2, "changes": {member: kept}}]


def test_several_at_once_are_one_change(web: Web, opened: dict[str, Any]) -> None:
    name = f"n{opened['user']['username']}"
    changes = {"display_name": "Ann", "locale": "de", "time_zone": "Asia/Tokyo", "username": name}

    assert patch(web, ME, opened["token"], changes).json["version"] == 2

    assert told_of(web, opened) == [{"version": 2, "changes": changes}]
    assert [web.login(known).status for known in (opened["user"]["username"], name)] == [401, 200]


def test_null_empties_the_display_name(web: Web, opened: dict[str, Any]) -> None:
    patch(web, ME, opened["token"], {"display_name": "Ann"})

    assert patch(web, ME, opened["token"], {"display_name": None}, Content_Type=MERGE).json["display_name"] == ""

    assert [event["changes"] for event in told_of(web, opened)] == [{"display_name": "Ann"}, {"display_name": ""}]


@pytest.mark.parametrize("path", [ME, SETTINGS])
def test_what_is_so_already_is_no_change(web: Web, opened: dict[str, Any], path: str) -> None:
    user = opened["user"]
    same = {"display_name": " ", "locale": "en", "time_zone": "UTC", "username": user["username"]}
    bodies = (
        [{}, same, {"display_name": ""}, {"display_name": None}]
        if path == ME
        else [{}, {"notify_email": True}, {"notify_sms": False}]
    )

    answers = [patch(web, path, opened["token"], body) for body in bodies]

    assert [(answer.status, answer.headers["ETag"]) for answer in answers] == [(200, '"1"')] * len(bodies)
    assert web.me(opened["token"]).json == user
    assert told_of(web, opened) == []


@pytest.mark.parametrize(
    ("member", "wrong", "code"),
    [
        ("display_name", 7, "invalid_type"),
        ("display_name", ["Ann"], "invalid_type"), ("display_name", True, "invalid_type"),
        ("display_name", "x" * 101, "display_name_too_long"),
        ("display_name", "a\u202eb", "display_name_characters"),
        ("display_name", "a\nb", "display_name_characters"),
        ("locale", None, "null"), ("locale", "", "blank"), ("locale", 1, "invalid_type"),
        ("locale", "en_US", "invalid_locale"), ("locale", "english!", "invalid_locale"),
        ("time_zone", None, "null"), ("time_zone", "", "blank"), ("time_zone", 1, "invalid_type"),
        ("time_zone", "Mars/Phobos", "invalid_time_zone"), ("time_zone", "europe/zurich", "invalid_time_zone"),
        ("time_zone", "../../etc/passwd", "invalid_time_zone"), ("time_zone", "UTC\x00", "invalid_time_zone"),
        ("username", None, "null"), ("username", 123, "invalid_type"), ("username", "", "blank"),
        ("username", "ab", "username_too_short"), ("username", "admin", "username_reserved"),
        ("username", "a b c", "username_characters"), ("username", "x@example.com", "username_characters"),
        ("notify_email", None, "null"), ("notify_email", "true", "invalid_type"),
        ("notify_email", 0, "invalid_type"), ("notify_sms", "", "invalid_type"),
        ("notify_sms", [], "invalid_type"),
    ],
)  # fmt: skip
def test_what_it_cannot_be_is_told_by_its_name_and_good_ones_beside_it_stay_out(
    web: Web, steady: dict[str, Any], member: str, wrong: Any, code: str
) -> None:
    is_setting = member.startswith("notify")
    path = SETTINGS if is_setting else ME
    good: dict[str, Any] = {"notify_email": False, "notify_sms": True} if is_setting else {"locale": "de"}

    answer = patch(web, path, steady["token"], {**good, member: wrong})

    assert (answer.status, answer.codes) == (400, [(f"/{member}", code)])
    assert web.me(steady["token"]).json == steady["user"]
    assert told_of(web, steady) == []


@pytest.mark.parametrize("media_type", ["application/json-patch+json", "text/plain", MERGE + "; charset=utf-16"])
def test_a_change_comes_as_json_or_as_a_merge(web: Web, steady: dict[str, Any], media_type: str) -> None:
    answer = patch(web, ME, steady["token"], {"locale": "de"}, Content_Type=media_type)

    assert answer.told == (415, "unsupported-media-type")
    assert web.me(steady["token"]).json == steady["user"]


def test_a_change_is_for_who_is_signed_in(web: Web) -> None:
    for path in (ME, SETTINGS):
        assert web.call("PATCH", path, {}, If_Match="*").status == 401


# the username ------------------------------------------------------------------------------------------------


def test_another_username_needs_the_password_given_lately(web: Web, opened: dict[str, Any]) -> None:
    old, name = web.aged(opened), f"n{opened['user']['username']}"

    refused = patch(web, ME, old, {"username": name, "display_name": "Ann"})

    assert refused.told == (403, "reauthentication-required")
    assert web.me(old).json == opened["user"]
    assert patch(web, ME, old, {"display_name": "Ann"}).status == 200
    fresh = web.call("POST", REAUTHENTICATE, {"password": PASSWORD}, **bearer(old)).json["token"]
    # Who else has the session has its older token.
    assert [patch(web, ME, token, {"username": name}).status for token in (old, fresh)] == [403, 200]


def test_a_username_that_is_taken_stays_its_owners(web: Web, opened: dict[str, Any], steady: dict[str, Any]) -> None:
    taken = steady["user"]["username"]

    answers = [patch(web, ME, opened["token"], {"username": name}) for name in (taken, taken.upper())]

    assert [answer.told for answer in answers] == [(409, "username-taken")] * 2
    assert answers[0].codes == [("/username", "username_taken")]
    assert web.me(opened["token"]).json == opened["user"]


def test_ones_own_username_in_another_spelling_is_a_change(web: Web, opened: dict[str, Any]) -> None:
    spelled = opened["user"]["username"].upper()

    assert patch(web, ME, opened["token"], {"username": spelled}).json["username"] == spelled
    assert told_of(web, opened) == [{"version": 2, "changes": {"username": spelled}}]


def test_of_twenty_who_want_one_username_one_gets_it(web: Web) -> None:
    people = [web.register() for _ in range(20)]
    name = f"n{people[0]['user']['username']}"
    headers = [bearer(one["token"]) | {"If-Match": "*"} for one in people]

    answers = web.race([Call("PATCH", ME, {"username": name}, each) for each in headers])

    assert sorted(answer.status for answer in answers) == [200] + [409] * 19
    assert web.sql("select count(*) from accounts_user where username = %s", name) == [(1,)]
    assert sum(len(told_of(web, one)) for one in people) == 1


# the settings ------------------------------------------------------------------------------------------------


def test_settings_have_a_version_of_their_own_and_raise_the_users(web: Web, opened: dict[str, Any]) -> None:
    token = opened["token"]
    first = web.read(SETTINGS, token)
    assert (first.headers["ETag"], first.json) == ('"1"', {"notify_email": True, "notify_sms": False, "version": 1})

    both = patch(web, SETTINGS, token, {"notify_email": False, "notify_sms": True}, Content_Type=MERGE)
    one = patch(web, SETTINGS, token, {"notify_email": False, "notify_sms": False})

    assert (both.status, both.json["version"], both.headers["ETag"]) == (200, 2, '"2"')
    assert one.json == {"notify_email": False, "notify_sms": False, "version": 3}
    assert web.read(SETTINGS, token).json == one.json
    assert web.me(token).headers["ETag"] == '"3"'
    assert told_of(web, opened) == [
        {"version": 2, "changes": {"notify_email": False, "notify_sms": True}},
        {"version": 3, "changes": {"notify_sms": False}},
    ]
    # The profile may be another meanwhile: that is no change of these.
    assert patch(web, ME, token, {"locale": "de"}).json["version"] == 4
    assert web.read(SETTINGS, token).headers["ETag"] == '"3"'
