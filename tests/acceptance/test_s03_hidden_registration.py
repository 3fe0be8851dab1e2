"""S03: with REGISTRATION_REVEALS_EMAIL off a registration's answer tells nobody what is taken: its mail does.

With it on, the answer tells; then it is how often one may ask that is held down.
"""

import re
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

import pytest

from devstack import Stack
from tests.acceptance.administering import change
from tests.acceptance.linking import CONFIRM, NEW
from tests.acceptance.mailing import RESEND, RESET, Mailing, link_by, token_in
from tests.acceptance.serving import serving
from tests.acceptance.streaming import Streaming, streaming_of
from tests.acceptance.visiting import Visitor, visitor
from tests.acceptance.web import ME, PASSWORD, REGISTER, Answer, Web, bearer, superuser
from tests.integration.mailing import text_of

VERIFY = "/api/v1/users/email/verify"
TAKEN = "This username is taken"


@pytest.fixture(scope="module")
def hidden(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """With the quotas as they are; its worker is the one of all."""
    settings = {
        "REGISTRATION_REVEALS_EMAIL": "off",
        "SECRET_KEY": web.environ["SECRET_KEY"],
        "TRUSTED_PROXIES": "127.0.0.1/32",
        "THROTTLES": "",
    }
    with serving(tmp_path_factory.mktemp("hidden") / "log", **settings) as hidden:
        yield hidden


@pytest.fixture(scope="module")
def streaming(hidden: Web, parts: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streaming]:
    """The welcome mail follows from an event."""
    with streaming_of(hidden, dict(parts.environ), tmp_path_factory.mktemp("streaming")) as streaming:
        yield streaming


@pytest.fixture
def owner(web: Web) -> dict[str, Any]:
    """Whose names are taken."""
    user: dict[str, Any] = web.register()["user"]
    return user


def somebody(**names: str) -> dict[str, str]:
    name = f"u{uuid4().hex[:12]}"
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **names}


def told(answer: Answer) -> tuple[object, ...]:
    headers = [(name, value) for name, value in answer.headers.items() if name not in ("Date", "X-Request-ID")]
    return answer.status, headers, answer.body


def users(web: Web, wanted: dict[str, str]) -> int:
    """How many have exactly these names."""
    statement = "select count(*) from accounts_user where username = %s and email = %s"
    [(count,)] = web.sql(statement, wanted["username"], wanted["email"])
    return int(count)


def one_with(mails: list[EmailMessage], subject: str) -> str:
    """The text of the only one."""
    [mail] = [mail for mail in mails if mail["Subject"] == subject]
    return text_of(mail)


def test_fresh_and_taken_are_answered_the_same_and_told_by_one_mail_each(
    hidden: Web, mailing: Mailing, streaming: Streaming, owner: dict[str, Any]
) -> None:
    wanted = {
        "fresh": somebody(),
        "e-mail taken": somebody(email=owner["email"].upper()),
        "username taken": somebody(username=owner["username"].upper()),
    }

    answers = [told(visitor(hidden).post(REGISTER, body)) for body in wanted.values()]

    assert answers[0][0] == 202
    assert answers[0][2] == b"{}"
    assert answers[1:] == answers[:1] * 2
    mailing.wait_until_idle(hidden)
    assert [users(hidden, body) for body in wanted.values()] == [1, 0, 0]
    [welcome] = mailing.wait_for_mails(wanted["fresh"]["email"])
    assert welcome["Subject"] == "Welcome to usercenter"
    assert hidden.call("POST", VERIFY, {"token": token_in(welcome)}).status == 204
    # The owner has been welcomed as well.
    told_to_owner = one_with(mailing.wait_for_mails(owner["email"], 2), "You have an account already")
    assert owner["username"] in told_to_owner
    assert "#token=" not in told_to_owner
    told_to_other = one_with(mailing.wait_for_mails(wanted["username taken"]["email"]), TAKEN)
    assert owner["username"] not in told_to_other.lower()
    assert owner["email"] not in told_to_other
    mailing.wait_until_idle(hidden)
    assert [len(mailing.mails_to(address)) for address in (wanted["fresh"]["email"], owner["email"])] == [1, 2]
    assert len(mailing.mails_to(wanted["username taken"]["email"])) == 1


def test_the_username_tells_nothing_of_the_address_either(
    web: Web, hidden: Web, mailing: Mailing, owner: dict[str, Any]
) -> None:
    wanted = {"fresh": somebody(), "e-mail taken": somebody(email=owner["email"])}
    for body in wanted.values():
        assert visitor(hidden).post(REGISTER, body).status == 202
    mailing.wait_until_idle(hidden)
    names = [body["username"] for body in wanted.values()]

    curious = web.register()["token"]
    renamed = [web.call("PATCH", ME, {"username": name.upper()}, **bearer(curious), If_Match="*") for name in names]
    again = [somebody(username=name) for name in names]
    registered = [web.call("POST", REGISTER, body) for body in again]
    for body in again:
        assert visitor(hidden).post(REGISTER, body).status == 202

    assert {answer.told for answer in (*renamed, *registered)} == {(409, "username-taken")}
    mailing.wait_until_idle(hidden)
    assert [[mail["Subject"] for mail in mailing.mails_to(body["email"])] for body in again] == [[TAKEN]] * 2
    given = change(web, superuser(web), web.register()["user"]["id"], {"username": names[1]})
    assert (given.status, given.json["username"]) == (200, names[1])


@pytest.mark.usefixtures("streaming")
def test_the_user_signs_in_once_the_address_is_shown_to_be_theirs(hidden: Web, mailing: Mailing) -> None:
    wanted = somebody(display_name="Ann", locale="de")

    assert visitor(hidden).post(REGISTER, wanted).status == 202
    mailing.wait_until_idle(hidden)
    mailing.wait_for_mails(wanted["email"])  # the welcome, whose link the next one replaces

    # Otherwise who signs up with another's address would see by signing in whether it was free.
    assert visitor(hidden).login(wanted["username"]).told == visitor(hidden).login("nobody-at-all").told
    token = link_by(RESEND, hidden, mailing, wanted["email"])
    assert visitor(hidden).post(VERIFY, {"token": token}).status == 204
    user = visitor(hidden).login(wanted["username"]).json["user"]
    shown = {name: user[name] for name in ("username", "email", "display_name", "locale", "email_verified", "version")}
    assert shown == {
        "username": wanted["username"], "email": wanted["email"], "display_name": "Ann", "locale": "de",
        "email_verified": True, "version": 2,
    }  # fmt: skip
    published = "select count(*) from events_outbox where key = %s and type = 'user.registered'"
    assert hidden.sql(published, user["id"]) == [(1,)]


def test_a_new_password_by_mail_shows_the_address_too(hidden: Web, mailing: Mailing) -> None:
    """Whose first link has lapsed is not kept out by the password that the second one set."""
    wanted = somebody()
    assert visitor(hidden).post(REGISTER, wanted).status == 202
    mailing.wait_until_idle(hidden)

    assert visitor(hidden).post(RESET, {"email": wanted["email"]}).status == 202
    [mail] = mailing.told(wanted["email"], "Set a new password")
    assert visitor(hidden).post(CONFIRM, {"token": token_in(mail), "new_password": NEW}).status == 204

    assert visitor(hidden).login(wanted["username"], NEW).json["user"]["email_verified"] is True


def test_the_sweep_completes_what_the_queue_has_lost(hidden: Web, mailing: Mailing) -> None:
    wanted = somebody()
    with hidden.cache.refusing():
        answer = visitor(hidden).post(REGISTER, wanted)
    assert (answer.status, answer.body) == (202, b"{}")
    assert users(hidden, wanted) == 0

    hidden.sql("update accounts_pendingregistration set created_at = now() - interval '11 s'")
    mailing.sweep()

    mailing.wait_until_idle(hidden)
    assert users(hidden, wanted) == 1


def test_many_at_once_for_one_name_are_one_user(hidden: Web, mailing: Mailing) -> None:
    name = f"u{uuid4().hex[:12]}"
    wanted = [somebody(username=name) for _ in range(10)]

    answers = hidden.race_to_the_end([visitor(hidden).posting(REGISTER, body) for body in wanted])

    assert {(answer.status, answer.body) for answer in answers} == {(202, b"{}")}
    mailing.wait_until_idle(hidden)
    assert sum(users(hidden, body) for body in wanted) == 1
    refused = [body["email"] for body in wanted if not users(hidden, body)]
    assert [len(mailing.wait_for_mails(email)) for email in refused] == [1] * 9


def test_what_is_not_valid_is_told_in_both_modes(hidden: Web, owner: dict[str, Any]) -> None:
    answer = visitor(hidden).post(REGISTER, somebody(email=owner["email"], password="short"))

    assert (answer.status, answer.codes) == (400, [("/password", "password_too_short")])


def test_the_owner_of_a_taken_address_gets_three_mails_an_hour_at_most(
    hidden: Web, mailing: Mailing, owner: dict[str, Any]
) -> None:
    for _ in range(5):
        assert visitor(hidden).post(REGISTER, somebody(email=owner["email"])).status == 202

    mailing.wait_until_idle(hidden)
    subjects = [mail["Subject"] for mail in mailing.mails_to(owner["email"])]
    assert subjects.count("You have an account already") == 3


def test_nothing_of_it_is_kept_in_clear_or_for_long(hidden: Web, mailing: Mailing, owner: dict[str, Any]) -> None:
    wanted = somebody(email=owner["email"])
    with hidden.cache.refusing():
        visitor(hidden).post(REGISTER, wanted)

    noted = "select password from accounts_pendingregistration where username = %s"
    [(stored,)] = hidden.sql(noted, wanted["username"])
    assert stored.startswith("argon2$argon2id$")

    mailing.wait_until_idle(hidden)
    assert hidden.sql(noted, wanted["username"]) == []
    assert hidden.sql("select count(*) from accounts_outsidecall where email <> ''") == [(0,)]


# with the setting on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("taken", ["username", "email"])
def test_an_answer_that_reveals_is_given_twenty_times_an_hour(guarded: Web, owner: dict[str, Any], taken: str) -> None:
    eve: Visitor = visitor(guarded)

    answers = [eve.post(REGISTER, somebody(**{taken: owner[taken]})) for _ in range(21)]

    assert [(answer.status, answer.json["code"]) for answer in answers[:20]] == [(409, f"{taken}-taken")] * 20
    assert answers[0].codes == [(f"/{taken}", f"{taken}_taken")]
    blocked = answers[20]
    assert (blocked.status, blocked.json["code"]) == (429, "rate-limited")
    assert blocked.headers["RateLimit-Policy"] == '"register-address";q=20;w=3600'
    assert re.fullmatch(r'"register-address";r=0;t=\d+', blocked.headers["RateLimit"])
    assert 0 < int(blocked.headers["Retry-After"]) <= 3600
    assert visitor(guarded).post(REGISTER, somebody()).status == 201
