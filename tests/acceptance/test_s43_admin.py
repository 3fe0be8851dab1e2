"""S43: the admin is no way in for who guesses, forges or fixates, and no row is deleted or hash shown there."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

import pytest

from tests.acceptance.browsing import (
    INDEX,
    LOGIN,
    USERS,
    Browser,
    a_user,
    errors_of,
    fields_of,
    superuser,
)
from tests.acceptance.visiting import visitor
from tests.acceptance.web import PASSWORD, Call, Web

MOST = 10
EVERYWHERE = [
    "", "accounts/", "accounts/user/", "accounts/user/add/", "accounts/session/", "accounts/loginrecord/",
    "accounts/lastlogin/", "accounts/securityrecord/", "accounts/outsidecall/", "accounts/usersettings/",
    "accounts/unguardedchange/", "auth/group/", "events/outboxrecord/", "events/parkeddelivery/",
]  # fmt: skip

# Where the rows of a page lie, and which column is their key.
ROWS = {
    "accounts/user": ("accounts_user", "id"),
    "accounts/session": ("accounts_session", "id"),
    "accounts/loginrecord": ("accounts_loginrecord", "id"),
    "accounts/lastlogin": ("accounts_lastlogin", "user_id"),
    "accounts/securityrecord": ("accounts_securityrecord", "id"),
    "accounts/outsidecall": ("accounts_outsidecall", "id"),
    "accounts/usersettings": ("accounts_usersettings", "user_id"),
    "accounts/unguardedchange": ("accounts_unguardedchange", "id"),
    "events/outboxrecord": ("events_outbox", "id"),
    "events/parkeddelivery": ("events_parked", "id"),
}
# Whose traceback quotes a row.
PARKED = (
    'insert into events_parked ("group", handler, event_id, type, topic, partition, "offset", recorded_at, headers,'
    " reason, error) values ('g', 'h', %s, 't', 't', 0, 0, now(), '', 'poison', 'CANARY-error of a row')"
)


@pytest.fixture(scope="module")
def web(guarded: Web) -> Web:
    """With the quotas as they are."""
    return guarded


@pytest.fixture(autouse=True)
def _counts_begin_anew(web: Web) -> Iterator[None]:
    yield
    web.sql("delete from accounts_throttle")


@pytest.fixture(scope="module")
def root(web: Web) -> Browser:
    """A superuser, signed in."""
    return superuser(web, X_Forwarded_For=visitor(web).address)[0]


def test_a_hundred_guesses_at_once_are_ten(web: Web) -> None:
    user = a_user(web, is_staff=True)
    browser = Browser(web, X_Forwarded_For=visitor(web).address)
    guesses = [browser.posting(LOGIN, username=user["username"], password=f"CANARY-pw-wrong-{n}") for n in range(100)]

    at_first = web.race(guesses)
    busy = [guess for guess, answer in zip(guesses, at_first, strict=True) if answer.status == 503]
    answers = [answer for answer in at_first if answer.status != 503] + web.race_to_the_end(busy)

    assert all("Retry-After" in answer.headers for answer in at_first if answer.status == 503)
    assert {answer.status for answer in answers} == {200}
    assert len({tuple(errors_of(answer)) for answer in answers}) == 1
    tried = "select count(*) from accounts_loginrecord where user_id = %s and reason = 'wrong_password'"
    [(looked_at,)] = web.sql(tried, user["id"])
    # Who found the service too busy to look may have used up a try as well.
    assert max(1, MOST - len(busy)) <= looked_at <= MOST
    browser.sign_in(user["username"])
    assert not browser.is_in()
    assert web.sql(tried, user["id"]) == [(looked_at,)]


def test_the_right_password_of_no_staff_begins_no_count_anew(web: Web) -> None:
    user = a_user(web)
    browser = Browser(web, X_Forwarded_For=visitor(web).address)

    pages = [browser.sign_in(user["username"], "CANARY-pw-wrong") for _ in range(MOST - 1)]
    pages += [browser.sign_in(user["username"])]

    assert len({tuple(errors_of(page)) for page in pages}) == 1
    assert not browser.is_in()
    reasons = "select reason, count(*) from accounts_loginrecord where user_id = %s group by reason order by reason"
    expected = [("not_active", 1), ("wrong_password", MOST - 1)]
    assert web.sql(reasons, user["id"]) == expected
    browser.sign_in(user["username"])
    assert web.sql(reasons, user["id"]) == expected


def test_there_is_no_administrator_by_default(web: Web) -> None:
    browser = Browser(web, X_Forwarded_For=visitor(web).address)

    for name in ("admin", "root", "superuser", "usercenter"):
        for password in ("admin", "password", "", name):
            browser.sign_in(name, password)
            assert not browser.is_in()


@pytest.mark.parametrize(
    "how", ["no token", "another's token", "a foreign origin", "no origin that can be told", "a foreign page"]
)
def test_a_forged_post_is_refused(web: Web, how: str) -> None:
    user = a_user(web)
    browser = superuser(web)[0]
    action = {"action": "suspend", "_selected_action": user["id"], "reason": "forged"}
    call = browser.posting(USERS, **action)
    headers = dict(call.headers)
    if how == "no token":
        call = browser.posting(USERS, **action, csrfmiddlewaretoken="")
    elif how == "another's token":
        call = browser.posting(USERS, **action, csrfmiddlewaretoken=Browser(web).posting(LOGIN).body.decode()[-32:])
    elif how == "a foreign page":
        del headers["Cookie"]
    else:
        headers["Origin"] = "null" if how == "no origin that can be told" else "https://evil.example"

    [answer] = web.race([Call("POST", call.path, call.body, headers)])

    assert answer.status == 403
    assert web.sql("select status, version from accounts_user where id = %s", user["id"]) == [("active", 1)]


def test_no_page_sets_a_password(web: Web, root: Browser) -> None:
    user = a_user(web)

    assert b"password_change" not in root.get(INDEX).body
    for path in ("/admin/password_change/", "/admin/password_change/done/"):
        assert (root.get(path).status, root.post(path, old_password=PASSWORD).status) == (404, 404)
    for path in (f"{USERS}{user['id']}/password/", f"{USERS}{user['id']}/change/password/"):
        assert root.get(path).status in (302, 404)
    form = fields_of(root.get(f"{USERS}{user['id']}/change/"))
    assert [name for name in form if "password" in name] == []
    assert root.change(user["id"], password="CANARY-pw-set-by-another", password1="x", status="deleted").status == 302
    assert web.login(user["username"]).status == 200


def test_no_page_shows_a_hash(web: Web, root: Browser) -> None:
    user = web.register()["user"]
    places = [f"/admin/{place}" for place in EVERYWHERE]
    places += [f"{USERS}{user['id']}/{page}/" for page in ("change", "history")]

    shown = {place: root.get(place) for place in places}

    assert {place: answer.status for place, answer in shown.items()} == dict.fromkeys(places, 200)
    assert user["username"].encode() in shown[USERS].body
    assert [place for place, answer in shown.items() if b"argon2" in answer.body] == []


SECRETS = {
    "password": ("accounts/user", "select password from accounts_user where id = %s"),
    "user__password": ("accounts/session", "select password from accounts_user where id = %s"),
    "refresh_tokens__hash": (
        "accounts/session",
        "select hash::text from accounts_refreshtoken, accounts_session where id = session_id and user_id = %s",
    ),
    "value": ("events/outboxrecord", "select encode(value, 'escape') from events_outbox where key = %s"),
    "error": ("events/parkeddelivery", f"{PARKED} returning error"),
}


@pytest.mark.parametrize("column", SECRETS)
def test_no_list_tells_by_what_it_finds_how_a_secret_begins(web: Web, root: Browser, column: str) -> None:
    page, read = SECRETS[column]
    begins = web.sql(read, a_user(web)["id"])[0][0][:12]

    for how in ("startswith", "contains", "regex", "gt", "exact"):
        answers = [
            root.get(f"/admin/{page}/?{urlencode({f'{column}__{how}': typed})}") for typed in (begins, f"no-{begins}")
        ]
        assert [answer.status for answer in answers] == [400, 400]
        assert answers[0].body == answers[1].body


@pytest.mark.parametrize("asked", ["status__exact=active", "status__isnull=False", "is_staff__exact=1"])
def test_a_list_is_narrowed_by_its_own_filters(web: Web, root: Browser, asked: str) -> None:
    assert root.get(f"{USERS}?{asked}").status == 200


@pytest.mark.parametrize(
    "asked",
    [
        "accounts/user/?status__exact", "accounts/user/?status", "accounts/outsidecall/?kind",
        "events/outboxrecord/?topic", "events/outboxrecord/?state", "events/parkeddelivery/?group__exact",
    ],
)  # fmt: skip
def test_a_filter_by_what_no_text_has_is_a_bad_request(web: Web, root: Browser, asked: str) -> None:
    for value in ("%00", "active%00", f"active&{asked.partition('?')[2]}=%00"):
        assert root.get(f"/admin/{asked}={value}").status == 400
    assert root.get(f"/admin/{asked}=active").status == 200


def test_the_action_that_deletes_leaves_the_time_to_think_again(web: Web, root: Browser) -> None:
    user = a_user(web)

    assert root.act("delete_after_the_grace", user["id"], reason="Asked by mail") == [
        f"To be deleted: {user['username']}."
    ]

    waits = "select status, delete_after > now() + interval '29 days' from accounts_user where id = %s"
    assert web.sql(waits, user["id"]) == [("pending_deletion", True)]
    [event] = web.published(user["id"], "user.status_changed")
    assert (event["from"], event["to"], event["reason"]) == ("active", "pending_deletion", "Asked by mail")


@pytest.fixture(scope="module")
def kept(web: Web, root: Browser) -> Mapping[str, str]:
    """A row for each page that shows some, by its key."""
    user = a_user(web, email_verified=True)
    assert web.login(user["username"], "CANARY-pw-wrong").status == 401
    root.act("unlock", user["id"])
    root.act("send_password_link", user["id"])
    web.sql("insert into accounts_lastlogin (user_id, at) values (%s, now())", user["id"])
    web.sql(
        "insert into accounts_usersettings (user_id, notify_email, notify_sms, version) values (%s, true, false, 1)",
        user["id"],
    )
    web.sql(PARKED, user["id"])
    return {page: str(web.sql(f"select {key} from {table}")[0][0]) for page, (table, key) in ROWS.items()}  # noqa: S608 - our own


@pytest.mark.parametrize("page", ROWS)
def test_no_row_is_deleted_by_hand(web: Web, root: Browser, kept: Mapping[str, str], page: str) -> None:
    (table, key), row = ROWS[page], kept[page]
    assert b"delete_selected" not in root.get(f"/admin/{page}/").body
    assert root.get(f"/admin/{page}/{row}/change/").status == 200

    root.post(f"/admin/{page}/", action="delete_selected", _selected_action=[row], post="yes")
    assert root.post(f"/admin/{page}/{row}/delete/", post="yes").status == 403

    assert web.sql(f"select count(*) from {table} where {key}::text = %s", row) == [(1,)]  # noqa: S608 - a table


def test_nonsense_is_no_fault_of_the_server(web: Web, root: Browser) -> None:
    user = a_user(web)
    form = fields_of(root.get(f"{USERS}{user['id']}/change/"))
    lines_before = len(web.log_lines())
    nonsense = [
        root.acted("suspend", "no-id", reason="x"),
        root.acted("nothing", user["id"]),
        root.acted("suspend", user["id"], reason="\0"),
        root.acted("suspend", user["id"], reason="x", until="9999-12-31T23:59:59-23:59"),
        root.get(f"{USERS}no-id/change/"),
        root.get(f"{USERS}?q=%00"),
        root.post(f"{USERS}add/", username="\0", email="a\0@example.com", groups=["no-id"]),
        *(
            root.post(f"{USERS}{user['id']}/change/", **{**form, **wrong})
            for wrong in ({"version": "x"}, {"version": "9" * 30}, {"username": "x" * 5000}, {"time_zone": "../etc"})
        ),
    ]

    assert {answer.status for answer in nonsense} <= {200, 302, 400}
    assert web.sql("select username, status, version from accounts_user where id = %s", user["id"]) == [
        (user["username"], "active", 1)
    ]
    assert [line for line in web.log_lines()[lines_before:] if '"request failed"' in line] == []
