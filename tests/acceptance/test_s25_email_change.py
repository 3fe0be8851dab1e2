"""S25: another address is had by who gives the password and reads its mail, and the present one hears of it."""

import base64
from collections.abc import Iterator

import pytest

from tests.acceptance.linking import CHANGED, CONFIRM_EMAIL, NEW, Owner, another_address, owner_in, state_of
from tests.acceptance.mailing import RESET, Mailing, token_in
from tests.acceptance.serving import serving
from tests.acceptance.visiting import visitor
from tests.acceptance.web import CHANGE_PASSWORD, PASSWORD, REAUTHENTICATE, REGISTER, Call, Web, bearer
from tests.integration.mailing import text_of

ASKED, WANTED, HAS_ONE = (
    "Your e-mail address is about to change", "Is this your new e-mail address?", "You have an account already",
)  # fmt: skip
TAKEN = (409, "email-taken")
OLD = (403, "reauthentication-required")


@pytest.fixture
def owner(web: Web, mailing: Mailing) -> Owner:
    """Somebody who wants another address."""
    return owner_in(web, mailing)


@pytest.fixture(scope="module")
def hidden(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """It tells nobody what is taken; tokens of the one web are good here too."""
    settings = {
        "REGISTRATION_REVEALS_EMAIL": "off",
        "SECRET_KEY": web.environ["SECRET_KEY"],
        "JWT_SIGNING_KEYS": base64.b64encode(web.signing_key).decode(),
    }
    with serving(tmp_path_factory.mktemp("hidden") / "log", **settings) as hidden:
        yield hidden


def subjects_to(mailing: Mailing, address: str) -> list[str]:
    return sorted(mail["Subject"] for mail in mailing.mails_to(address))


def owed(web: Web) -> int:
    """Mails that were owed, sent or not."""
    [(count,)] = web.sql("select count(*) from accounts_outsidecall")
    return int(count)


# asking ------------------------------------------------------------------------------------------------------


def test_an_open_session_is_not_enough(web: Web, owner: Owner) -> None:
    old = web.aged(owner.opened)
    before, mails = state_of(web, owner.id), owed(web)

    assert owner.asks_for(another_address(), old).told == OLD

    assert (state_of(web, owner.id), owed(web)) == (before, mails)
    again = web.call("POST", REAUTHENTICATE, {"password": PASSWORD}, **bearer(old))
    assert owner.asks_for(another_address(), again.json["token"]).status == 202
    # Who else has the session has its older token.
    assert owner.asks_for(another_address(), old).told == OLD


def test_who_has_a_copy_of_the_session_gains_nothing_when_its_owner_gives_the_password(web: Web, owner: Owner) -> None:
    web.sql("update accounts_session set auth_time = auth_time - interval '1 hour' where user_id = %s", owner.id)
    given = web.call("POST", REAUTHENTICATE, {"password": PASSWORD}, **bearer(owner.token))

    copied = web.refresh(owner.opened["refresh_token"])

    assert (given.status, copied.status) == (200, 200)
    assert owner.asks_for(another_address(), copied.json["token"]).told == OLD
    assert owner.asks_for(another_address(), given.json["token"]).status == 202


def test_nothing_changes_before_the_new_address_has_shown_itself(web: Web, mailing: Mailing, owner: Owner) -> None:
    address, before = another_address(), state_of(web, owner.id)

    assert owner.asks_for(address).status == 202

    [link] = mailing.told(address, WANTED)
    assert owner.opened["user"]["username"] in text_of(link)
    [warning] = mailing.told(owner.address, ASKED)
    assert "#token=" not in text_of(warning)
    assert address not in text_of(warning)
    assert web.me(owner.token).json == owner.opened["user"]
    assert state_of(web, owner.id) == before
    # A forgotten password goes to the old one; nobody is at the new one.
    for email in (address, owner.address):
        assert web.call("POST", RESET, {"email": email}).status == 202
    assert mailing.told(owner.address, "Set a new password")
    mailing.wait_until_idle(web)
    assert subjects_to(mailing, address) == [WANTED]


def test_the_switch_is_published_and_told_with_a_way_back(web: Web, mailing: Mailing, owner: Owner) -> None:
    address = another_address()

    owner.moves_to(address)

    now = web.me(owner.token).json
    shown = {name: now[name] for name in ("email", "email_verified", "version")}
    assert shown == {"email": address, "email_verified": True, "version": 2}
    [event] = web.published(owner.id, "user.updated")
    assert (event["version"], event["changes"]) == (2, {"email": address})
    [told] = mailing.told(owner.address, CHANGED)
    assert token_in(told)
    assert address not in text_of(told)
    noted = "select kind from accounts_securityrecord where user_id = %s"
    assert web.sql(noted, owner.id) == [("email_changed",)]
    assert [web.login(name).status for name in (owner.address, address)] == [401, 200]
    assert web.call("POST", RESET, {"email": owner.address}).status == 202
    assert web.call("POST", RESET, {"email": address}).status == 202
    assert mailing.told(address, "Set a new password")
    mailing.wait_until_idle(web)
    assert "Set a new password" not in subjects_to(mailing, owner.address)


def test_an_address_that_nobody_has_shown_to_be_theirs_gets_no_way_in(web: Web, mailing: Mailing, owner: Owner) -> None:
    """Typed by mistake, it is a stranger's."""
    web.unguarded("update accounts_user set email_verified = false where id = %s", owner.id)
    owner.moves_to(another_address())

    [told] = mailing.told(owner.address, CHANGED)
    assert "#token=" not in text_of(told)
    stranger = {"username": f"x{owner.opened['user']['username']}", "email": owner.address, "password": PASSWORD}
    assert web.call("POST", REGISTER, stranger).status == 201


def test_what_is_no_address_or_ones_own_is_not_mailed_to(web: Web, owner: Owner) -> None:
    mails = owed(web)

    for wrong in ("", "x", "a@b@c", None, 7, ["a@example.com"]):
        answer = web.call("POST", "/api/v1/users/me/email", {"new_email": wrong}, **bearer(owner.token))
        assert (answer.status, [place for place, _ in answer.codes]) == (400, ["/new_email"])
    assert owner.asks_for(owner.address.upper()).status == 202

    assert owed(web) == mails


def test_a_taken_address_is_told_as_such_in_every_spelling(web: Web, owner: Owner) -> None:
    taken, mails = web.register()["user"]["email"], owed(web)

    answers = [owner.asks_for(address) for address in (taken, taken.upper(), f" {taken} ")]

    assert [answer.told for answer in answers] == [TAKEN] * 3
    assert answers[0].codes == [("/new_email", "email_taken")]
    assert owed(web) == mails


# the switch --------------------------------------------------------------------------------------------------


def test_of_two_who_are_promised_one_address_one_gets_it(web: Web, mailing: Mailing, owner: Owner) -> None:
    address, other = another_address(), owner_in(web, mailing)
    tokens = [owner.link_to(address), other.link_to(address)]

    answers = web.race([Call("POST", CONFIRM_EMAIL, {"token": token}) for token in tokens])

    assert sorted(answer.status for answer in answers) == [204, 409]
    [lost] = [one for one, answer in zip((owner, other), answers, strict=True) if answer.status == 409]
    [refused] = [answer for answer in answers if answer.status == 409]
    assert refused.told == TAKEN
    assert web.me(lost.token).json == lost.opened["user"]
    assert web.published(lost.id, "user.updated") == []
    mailing.wait_until_idle(web)
    assert subjects_to(mailing, lost.address) == [ASKED]


def test_an_address_that_somebody_has_registered_meanwhile_stays_theirs(web: Web, owner: Owner) -> None:
    address = another_address()
    token = owner.link_to(address)
    web.register(email=address)

    assert web.call("POST", CONFIRM_EMAIL, {"token": token}).told == TAKEN
    assert web.me(owner.token).json == owner.opened["user"]


def test_a_mail_that_was_held_up_over_a_change_of_the_password_has_no_link(
    web: Web, mailing: Mailing, owner: Owner
) -> None:
    """Else a thief's wish, made before the owner locked them out, would be granted after it."""
    address = another_address()
    mailing.wait_until_drained()
    with web.cache.refusing():
        assert owner.asks_for(address).status == 202
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert web.call("POST", CHANGE_PASSWORD, body, **bearer(owner.token)).status == 200

    mailing.sweep()
    mailing.wait_until_idle(web)

    assert subjects_to(mailing, owner.address) == [ASKED]
    assert mailing.mails_to(address) == []


# where nobody is told what is taken --------------------------------------------------------------------------


def test_fresh_and_taken_are_answered_the_same_and_the_mail_tells(
    web: Web, hidden: Web, mailing: Mailing, owner: Owner
) -> None:
    other, fresh = owner_in(web, mailing), another_address()
    asking = Owner(hidden, mailing, owner.opened)

    answers = [asking.asks_for(other.address.upper()), asking.asks_for(fresh)]

    told = [(answer.status, sorted(answer.headers), answer.body) for answer in answers]
    assert told[0] == told[1]
    assert (answers[0].status, answers[0].json) == (202, {})
    mailing.wait_until_idle(hidden)
    assert subjects_to(mailing, other.address) == [HAS_ONE]
    [mail] = mailing.mails_to(other.address)
    assert owner.opened["user"]["username"] not in text_of(mail)
    assert "#token=" not in text_of(mail)
    assert subjects_to(mailing, fresh) == [WANTED]
    # Who asked is warned alike, and told nothing of others.
    assert subjects_to(mailing, owner.address) == [ASKED] * 2


def test_who_signs_up_with_an_address_that_may_come_back_is_told_nothing(
    hidden: Web, mailing: Mailing, owner: Owner
) -> None:
    owner.moves_to(another_address())
    wanted = {"username": f"x{owner.opened['user']['username']}", "email": owner.address, "password": PASSWORD}

    assert hidden.call("POST", REGISTER, wanted).status == 202

    mailing.wait_until_idle(hidden)
    assert hidden.sql("select count(*) from accounts_user where username = %s", wanted["username"]) == [(0,)]
    assert subjects_to(mailing, owner.address) == [ASKED, CHANGED]


# quotas ------------------------------------------------------------------------------------------------------


@pytest.fixture
def thief(guarded: Web, mailing: Mailing) -> Iterator[Owner]:
    """Somebody signed in where the quotas are as they are."""
    guarded.sql("delete from accounts_throttle")
    guarded.sql("delete from accounts_outsidecall")
    yield owner_in(guarded, mailing)
    guarded.sql("delete from accounts_throttle")


def test_one_mailbox_gets_three_of_these_mails_an_hour(guarded: Web, thief: Owner) -> None:
    victim = another_address()

    answers = [thief.asks_for(spelled) for spelled in (victim, victim.upper(), victim.title(), victim, victim)]

    assert {(answer.status, answer.body) for answer in answers} == {(202, b"{}")}
    assert owed(guarded) == 2 * 3


def test_from_one_place_twenty_mailboxes_are_written_to_an_hour(guarded: Web, thief: Owner) -> None:
    for _ in range(17):
        assert guarded.call("POST", RESET, {"email": another_address()}).status == 202

    answers = [thief.asks_for(another_address()) for _ in range(5)]

    assert {(answer.status, answer.body) for answer in answers} == {(202, b"{}")}
    # Each wish that is mailed comes with its warning.
    assert owed(guarded) == 17 + 2 * 3


def test_an_answer_that_reveals_is_given_as_often_as_a_registrations(guarded: Web, thief: Owner) -> None:
    taken, at = guarded.register()["user"]["email"], visitor(guarded).address
    body, headers = {"new_email": taken}, bearer(thief.token) | {"X-Forwarded-For": at}

    answers = [guarded.call("POST", "/api/v1/users/me/email", body, **headers) for _ in range(21)]

    assert [answer.told for answer in answers] == [TAKEN] * 20 + [(429, "rate-limited")]
    assert answers[20].headers["RateLimit-Policy"] == '"register-address";q=20;w=3600'
