"""S09: guessing a password ends soon, however many guess at once; and who owns the account gets on meanwhile."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from tests.acceptance.browsing import Browser
from tests.acceptance.mailing import Mailing
from tests.acceptance.visiting import Visitor, visitor
from tests.acceptance.web import LOGIN, ME, PASSWORD, Answer, Web, bearer
from tests.waiting import wait_for

MOST, WINDOW_S = 10, 15 * 60
RESET, CONFIRM = "/api/v1/users/password/reset", "/api/v1/users/password/reset/confirm"
REAUTHENTICATE, CHANGE = "/api/v1/users/reauthenticate", "/api/v1/users/me/password"
ALERTS = "select value from events_outbox where type = 'user.security_alert' and key = %s order by id"


@pytest.fixture(autouse=True)
def _counts_begin_anew(guarded: Web) -> Iterator[None]:
    yield
    guarded.sql("delete from accounts_throttle")


@pytest.fixture
def ann(guarded: Web) -> dict[str, Any]:
    """Registered, and signed in."""
    return guarded.register()


@pytest.fixture
def eve(guarded: Web) -> Visitor:
    return visitor(guarded)


def guesses(eve: Visitor, identifier: str, count: int) -> list[Answer]:
    """All at once."""
    bodies = [{"identifier": identifier, "password": f"CANARY-pw-guess-{n}"} for n in range(count)]
    return eve.web.race_to_the_end([eve.posting(LOGIN, body) for body in bodies])


def over(web: Web, *quotas: str) -> None:
    """These windows are over for everybody."""
    for quota in quotas:
        web.sql("update accounts_throttle set ends_at = now() - interval '1 s' where key like %s", f"{quota}/%")


def told(answer: Answer) -> tuple[object, ...]:
    body = {name: value for name, value in answer.json.items() if name != "request_id"}
    return answer.status, list(answer.headers), answer.headers["RateLimit-Policy"], body


def assert_blocked(answer: Answer, quota: str, most: int, within_s: int) -> None:
    assert (answer.status, answer.json["code"]) == (429, "rate-limited")
    again_in_s = answer.headers["Retry-After"]
    assert 0 < int(again_in_s) <= within_s
    assert answer.headers["RateLimit-Policy"] == f'"{quota}";q={most};w={within_s}'
    assert answer.headers["RateLimit"] == f'"{quota}";r=0;t={again_in_s}'


@pytest.mark.parametrize("whose", ["ann's", "nobody's"])
@pytest.mark.parametrize("cache", ["there", "away"])
def test_of_two_hundred_guesses_at_once_ten_are_looked_at(
    guarded: Web, ann: dict[str, Any], eve: Visitor, whose: str, cache: str
) -> None:
    name = ann["user"]["username"] if whose == "ann's" else f"nobody-{cache}"
    guarded.sql("delete from accounts_loginrecord")
    with guarded.cache.refusing() if cache == "away" else nullcontext():
        answers = guesses(eve, name, 200)
        in_the_block = eve.login(name)

    looked_at = [answer for answer in answers if answer.status == 401]
    blocked = [answer for answer in answers if answer.status == 429]
    # Who found the queue to the hashing full has used up a try as well.
    assert 0 < len(looked_at) <= MOST
    assert len(blocked) == 200 - len(looked_at)
    for answer in (*blocked, in_the_block):
        assert_blocked(answer, "login-pair", MOST, WINDOW_S)
    # Whatever is looked at is written down: the right password in the block was not.
    assert guarded.sql("select count(*) from accounts_loginrecord") == [(len(looked_at),)]


def test_a_block_is_told_the_same_for_a_name_that_nobody_has(guarded: Web, ann: dict[str, Any], eve: Visitor) -> None:
    for name in (ann["user"]["username"], "nobody-here"):
        assert eve.fails(name, MOST) == [401] * MOST

    assert told(eve.login(ann["user"]["username"])) == told(eve.login("nobody-here"))


def test_every_spelling_is_one_account(guarded: Web, eve: Visitor) -> None:
    guarded.register(username="spelled", email="spelled@example.com")
    spellings = ["spelled", "SPELLED", "\uff53pelled", " spelled ", "spelled@example.com", "Spelled@EXAMPLE.com"]

    failed = [eve.login(spellings[n % 6], "wrong").status for n in range(MOST)]

    assert failed == [401] * MOST
    assert [eve.login(name).status for name in spellings] == [429] * 6


def test_nobodys_spellings_are_one_account_too(eve: Visitor) -> None:
    spellings = ["not-there", "NOT-THERE", "\uff4eot-there", " not-there "]

    assert [eve.login(spellings[n % 4], "wrong").status for n in range(MOST)] == [401] * MOST
    assert [eve.login(name).status for name in spellings] == [429] * 4


def test_a_success_forgets_the_counts_of_its_own_account_alone(guarded: Web, ann: dict[str, Any], eve: Visitor) -> None:
    ben = guarded.register()["user"]["username"]
    eve.fails(ann["user"]["username"], MOST - 1)
    eve.fails(ben, MOST - 1)

    assert eve.login(ben).status == 200

    assert eve.fails(ben, MOST) == [401] * MOST
    assert eve.fails(ann["user"]["username"], 2) == [401, 429]


def test_a_success_does_not_forget_what_the_address_has_tried(guarded: Web, ann: dict[str, Any], eve: Visitor) -> None:
    eve.fails("nobody-there", 1)
    guarded.sql("update accounts_throttle set count = 99 where key like 'login-address/%%'")

    assert eve.login(ann["user"]["username"]).status == 200

    assert_blocked(eve.login("somebody-else"), "login-address", 100, 900)
    assert_blocked(eve.login(ann["user"]["username"]), "login-address", 100, 900)
    assert visitor(guarded).login(ann["user"]["username"]).status == 200


def test_one_account_is_guessed_from_many_addresses_for_a_while_only(guarded: Web, ann: dict[str, Any]) -> None:
    failed = [status for _ in range(5) for status in visitor(guarded).fails(ann["user"]["username"], MOST)]

    assert failed == [401] * 50
    assert_blocked(visitor(guarded).login(ann["user"]["username"]), "login-account", 50, 3600)


def test_who_is_signed_in_goes_on_and_the_mail_opens_the_door_again(
    guarded: Web, ann: dict[str, Any], eve: Visitor, mailing: Mailing
) -> None:
    name, email = ann["user"]["username"], ann["user"]["email"]
    eve.fails(name, MOST + 1)

    assert guarded.call("GET", ME, **bearer(ann["token"])).status == 200
    assert eve.post("/api/v1/users/refresh", {"refresh_token": ann["refresh_token"]}).status == 200
    assert visitor(guarded).login(name).status == 200
    assert eve.post(RESET, {"email": email}).status == 202
    [token] = mailing.tokens_to(email)
    assert eve.post(CONFIRM, {"token": token, "new_password": "CANARY-pw-another"}).status == 204
    assert eve.login(name, "CANARY-pw-another").status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (REAUTHENTICATE, {"password": "CANARY-pw-wrong"}),
        (CHANGE, {"current_password": "CANARY-pw-wrong", "new_password": "CANARY-pw-another"}),
    ],
)
def test_no_other_door_gives_more_guesses(
    guarded: Web, ann: dict[str, Any], eve: Visitor, path: str, body: dict[str, str]
) -> None:
    headers = bearer(ann["token"]) | {"X_Forwarded_For": eve.address}

    answers = [guarded.call("POST", path, body, **headers) for _ in range(MOST + 1)]

    assert [answer.status for answer in answers] == [401] * MOST + [429]
    # Neither a thief of the session keeps the owner from signing in, nor a stranger the owner from going on.
    assert eve.login(ann["user"]["username"]).status == 200


def test_a_stranger_who_guesses_takes_no_tries_of_who_is_signed_in(
    guarded: Web, ann: dict[str, Any], eve: Visitor
) -> None:
    for _ in range(MOST):
        eve.login(ann["user"]["username"], "CANARY-pw-wrong")

    again = guarded.call("POST", REAUTHENTICATE, {"password": PASSWORD}, **bearer(ann["token"]))

    assert (eve.login(ann["user"]["username"]).status, again.status) == (429, 200)


def test_an_administrators_good_sign_ins_are_no_failures(guarded: Web) -> None:
    name = guarded.register()["user"]["username"]
    guarded.unguarded("update accounts_user set is_staff = true, is_superuser = true where username = %s", name)

    landed = [Browser(guarded).sign_in(name).status for _ in range(MOST + 1)]

    assert (landed, guarded.login(name).status) == ([302] * (MOST + 1), 200)


def test_the_admins_door_counts_with_the_others(guarded: Web) -> None:
    name = guarded.register()["user"]["username"]
    guarded.unguarded("update accounts_user set is_staff = true, is_superuser = true where username = %s", name)
    browser = Browser(guarded)

    for _ in range(MOST):
        browser.sign_in(name, "CANARY-pw-wrong")

    assert_blocked(guarded.login(name), "login-pair", MOST, WINDOW_S)
    assert browser.sign_in(name).status == 200  # its form again
    assert browser.get("/admin/").status == 302


def test_a_hundred_failures_in_a_row_are_the_end_however_long_they_take(
    guarded: Web, ann: dict[str, Any], mailing: Mailing
) -> None:
    name, email = ann["user"]["username"], ann["user"]["email"]
    for _ in range(10):
        assert visitor(guarded).fails(name, MOST) == [401] * MOST
        over(guarded, "login-pair", "login-account", "login-address")

    assert_blocked(visitor(guarded).login(name), "login-failures", 100, 365 * 24 * 3600)

    visitor(guarded).post(RESET, {"email": email})
    [token] = mailing.tokens_to(email)
    assert guarded.call("POST", CONFIRM, {"token": token, "new_password": PASSWORD}).status == 204
    assert visitor(guarded).login(name).status == 200


def test_failures_with_a_success_between_them_are_not_in_a_row(guarded: Web, ann: dict[str, Any], eve: Visitor) -> None:
    eve.fails(ann["user"]["username"], 1)
    guarded.sql("update accounts_throttle set count = 99 where key like 'login-failures/%%'")

    assert eve.login(ann["user"]["username"]).status == 200

    assert eve.fails(ann["user"]["username"], 2) == [401, 401]


def test_the_user_is_warned_once_a_block_and_nobody_is_not(guarded: Web, ann: dict[str, Any], eve: Visitor) -> None:
    user_id, name = ann["user"]["id"], ann["user"]["username"]
    before = guarded.sql("select count(*) from events_outbox")

    guesses(eve, name, 40)
    guesses(eve, "nobody-at-all", 40)

    [(value,)] = guarded.sql(ALERTS, user_id)
    assert json.loads(bytes(value)).items() >= {"kind": "login_blocked", "user_id": user_id, "ip": eve.address}.items()
    assert guarded.sql("select count(*) from events_outbox") == [(before[0][0] + 1,)]

    over(guarded, "login-pair", "login-warning")
    guesses(eve, name, 40)
    assert len(guarded.sql(ALERTS, user_id)) == 2


def test_a_blocked_address_warns_nobody(guarded: Web, ann: dict[str, Any], eve: Visitor) -> None:
    eve.fails("nobody-there", 1)
    guarded.sql("update accounts_throttle set count = 100 where key like 'login-address/%%'")

    assert eve.login(ann["user"]["username"]).status == 429

    assert guarded.sql(ALERTS, ann["user"]["id"]) == []


def test_neither_names_nor_addresses_stand_in_the_counts_or_the_log(
    guarded: Web, ann: dict[str, Any], eve: Visitor
) -> None:
    guesses(eve, ann["user"]["username"], MOST + 5)
    guesses(eve, "someone-unheard-of", MOST + 5)

    keys = " ".join(key for (key,) in guarded.sql("select key from accounts_throttle"))
    log = guarded.log.read_text()
    wait_for(lambda: '"rate limited"' in guarded.log.read_text())
    for secret in (ann["user"]["username"], ann["user"]["id"], "someone-unheard-of", eve.address):
        assert secret not in keys
    for secret in (ann["user"]["username"], "someone-unheard-of", "CANARY"):
        assert secret not in log
