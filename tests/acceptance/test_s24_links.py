"""S24: a mailed link is good for one use, for one thing, for a while; and wrong ones are all the same."""

import hashlib
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from psycopg import sql

from tests.acceptance.linking import CONFIRM, NEW, PURPOSES, Owner, Purpose, owner_in, state_of, use
from tests.acceptance.mailing import RESEND, RESET, Mailing
from tests.acceptance.web import CHANGE_PASSWORD, PASSWORD, Web, bearer

Opened = dict[str, Any]

INVALID = (400, "invalid-link")


@pytest.fixture(params=PURPOSES)
def purpose(request: pytest.FixtureRequest) -> Purpose:
    return PURPOSES[request.param]


@pytest.fixture
def owner(web: Web, mailing: Mailing) -> Owner:
    """Whose links they are."""
    return owner_in(web, mailing)


@pytest.fixture
def opened(owner: Owner) -> Opened:
    """Their first session."""
    return owner.opened


@pytest.fixture
def link_for(owner: Owner) -> Callable[[Purpose], str]:
    """Has a link mailed to that somebody; gives its token."""
    return lambda purpose: owner.link(purpose.name)


LinkFor = Callable[[Purpose], str]


# what a link does --------------------------------------------------------------------------------------------


def test_a_verification_is_kept_and_published(web: Web, opened: Opened, link_for: LinkFor) -> None:
    token = link_for(PURPOSES["verify"])
    user = web.me(opened["token"]).json

    answer = use(web, PURPOSES["verify"], token)

    assert (answer.status, answer.body) == (204, b"")
    now = web.me(opened["token"]).json
    assert (user["email_verified"], now["email_verified"]) == (False, True)
    assert now["version"] == user["version"] + 1
    [event] = web.published(user["id"], "user.updated")
    assert event.pop("at")
    assert event == {"user_id": user["id"], "version": now["version"], "changes": {"email_verified": True}}


def test_a_reset_sets_the_password_and_signs_nobody_in(web: Web, opened: Opened, link_for: LinkFor) -> None:
    user = opened["user"]

    answer = use(web, PURPOSES["reset"], link_for(PURPOSES["reset"]))

    assert (answer.status, answer.body, answer.headers["Set-Cookie"]) == (204, b"", None)
    assert web.sql("select count(*) from accounts_session where user_id = %s and ended_at is null", user["id"]) == [
        (0,)
    ]
    assert [web.login(user["username"], word).status for word in (PASSWORD, NEW)] == [401, 200]
    [event] = web.published(user["id"], "user.password_changed")
    assert (event["how"], event["version"]) == ("reset", user["version"] + 1)


def test_a_weak_password_leaves_the_link_as_it_was(web: Web, opened: Opened, link_for: LinkFor) -> None:
    token, before = link_for(PURPOSES["reset"]), state_of(web, opened["user"]["id"])

    for weak in ("short", opened["user"]["username"], opened["user"]["email"]):
        answer = web.call("POST", CONFIRM, {"token": token, "new_password": weak})
        assert (answer.status, answer.codes[0][0]) == (400, "/new_password")

    assert state_of(web, opened["user"]["id"]) == before
    assert use(web, PURPOSES["reset"], token).status == 204


# one use, one purpose, for a while ---------------------------------------------------------------------------


def test_a_link_is_good_for_one_use(web: Web, opened: Opened, link_for: LinkFor, purpose: Purpose) -> None:
    token = link_for(purpose)

    assert use(web, purpose, token).status == purpose.status

    after = state_of(web, opened["user"]["id"])
    assert [use(web, purpose, token).told for _ in range(2)] == [INVALID] * 2
    assert state_of(web, opened["user"]["id"]) == after


def test_of_twenty_at_once_one_uses_it(web: Web, opened: Opened, link_for: LinkFor, purpose: Purpose) -> None:
    token = link_for(purpose)
    [(before,)] = web.sql("select version from accounts_user where id = %s", opened["user"]["id"])

    answers = web.race_to_the_end([purpose.use(token)] * 20)

    assert sorted(answer.status for answer in answers) == [purpose.status] + [400] * 19
    assert {answer.told for answer in answers if answer.status == 400} == {INVALID}
    told = "select count(*) from events_outbox where key = %s and version > %s"
    # An invitation sets the password, and shows the address to be the user's.
    changes = 2 if purpose is PURPOSES["invite"] else 1
    assert web.sql(told, opened["user"]["id"], before) == [(changes,)]
    assert web.sql("select version from accounts_user where id = %s", opened["user"]["id"]) == [(before + changes,)]


def test_a_mail_that_is_repeated_does_not_bring_back_a_used_link(
    web: Web, mailing: Mailing, opened: Opened, link_for: LinkFor
) -> None:
    purpose, address = PURPOSES["reset"], opened["user"]["email"]
    token = link_for(purpose)
    mailing.wait_until_idle(web)
    mailed_by = "select call_id from accounts_link where user_id = %s and purpose = 'reset'"
    [(call_id,)] = web.sql(mailed_by, opened["user"]["id"])
    assert use(web, purpose, token).status == 204

    # As if its sender had died before it could note that it was sent: then it is due once more.
    web.sql(
        "update accounts_outsidecall set settled_at = null, next_attempt_at = now(), email = %s where id = %s",
        address,
        call_id,
    )
    mailing.sweep()
    mailing.wait_until_idle(web)

    assert use(web, purpose, token).told == INVALID


@pytest.mark.parametrize("purpose", ["verify", "reset", "invite", "change_email", "restore"], indirect=True)
def test_a_newer_link_voids_the_older(web: Web, link_for: LinkFor, purpose: Purpose) -> None:
    older, newer = link_for(purpose), link_for(purpose)

    assert older != newer
    assert use(web, purpose, older).told == INVALID
    assert use(web, purpose, newer).status == purpose.status


def test_a_link_does_what_it_was_mailed_for_and_nothing_else(
    web: Web, opened: Opened, link_for: LinkFor, purpose: Purpose
) -> None:
    token, before = link_for(purpose), state_of(web, opened["user"]["id"])
    others = [other for other in PURPOSES.values() if other.used_at != purpose.used_at]

    assert [use(web, other, token).told for other in others] == [INVALID] * len(others)
    assert state_of(web, opened["user"]["id"]) == before
    assert use(web, purpose, token).status == purpose.status


def test_a_link_lasts_so_long_and_no_longer(web: Web, opened: Opened, link_for: LinkFor, purpose: Purpose) -> None:
    token, user_id = link_for(purpose), opened["user"]["id"]
    began = "select created_at from accounts_link where user_id = %s and purpose = %s"
    if purpose.name == "restore":
        # The account can be restored from that moment on; its mail comes a little later.
        began = "select delete_after - interval '30 days' from accounts_user where id = %s and %s <> ''"
    [(since,)] = web.sql(began, user_id, purpose.name)
    lasts = "select expires_at - %s = %s::interval from accounts_link where user_id = %s and purpose = %s"
    assert web.sql(lasts, since, purpose.lasts, user_id, purpose.name) == [(True,)]

    web.sql("update accounts_link set expires_at = expires_at - %s::interval", purpose.lasts)

    assert use(web, purpose, token).told == INVALID


# what voids it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["verify", "reset", "change_email"], indirect=True)
def test_a_change_of_the_password_voids_links(web: Web, opened: Opened, link_for: LinkFor, purpose: Purpose) -> None:
    token = link_for(purpose)
    body = {"current_password": PASSWORD, "new_password": "CANARY-pw-a-third-4713"}
    assert web.call("POST", CHANGE_PASSWORD, body, **bearer(opened["token"])).status == 200

    assert use(web, purpose, token).told == INVALID


@pytest.mark.parametrize("purpose", ["verify", "change_email"], indirect=True)
def test_a_reset_voids_the_other_links_too(web: Web, link_for: LinkFor, purpose: Purpose) -> None:
    token, reset = link_for(purpose), link_for(PURPOSES["reset"])

    assert use(web, PURPOSES["reset"], reset).status == 204
    assert use(web, purpose, token).told == INVALID


@pytest.mark.parametrize("purpose", ["verify", "change_email", "restore"], indirect=True)
def test_another_address_voids_links(web: Web, opened: Opened, link_for: LinkFor, purpose: Purpose) -> None:
    token, user_id = link_for(purpose), opened["user"]["id"]
    address = f"new-{opened['user']['email']}"
    web.unguarded("update accounts_user set email = %s, email_canonical = %s where id = %s", address, address, user_id)

    assert use(web, purpose, token).told == INVALID


def test_links_are_void_while_their_user_is_barred(
    web: Web, opened: Opened, link_for: LinkFor, purpose: Purpose
) -> None:
    token, user_id = link_for(purpose), opened["user"]["id"]
    after_leaving = purpose.name in ("undo_email", "restore")
    for status in ["suspended", "deleted"] if after_leaving else ["suspended", "pending_deletion", "deleted"]:
        web.unguarded("update accounts_user set status = %s where id = %s", status, user_id)
        before = state_of(web, opened["user"]["id"])

        assert use(web, purpose, token).told == INVALID
        assert state_of(web, opened["user"]["id"]) == before


# looked at, guessed, stored ----------------------------------------------------------------------------------


def test_opening_a_link_changes_nothing(web: Web, opened: Opened, link_for: LinkFor, purpose: Purpose) -> None:
    token, before = link_for(purpose), state_of(web, opened["user"]["id"])
    query = urlencode({"token": token, **purpose.body})
    paths = [purpose.used_at, f"{purpose.used_at}?{query}", f"{purpose.used_at}/{token}"]
    paths += [f"/reset-password?{query}", f"/verify-email?{query}", f"{RESET}?{query}"]

    answers = [web.call(method, path) for path in paths for method in ["GET", "HEAD"] * 5]

    assert {answer.status for answer in answers} <= {404, 405}
    assert state_of(web, opened["user"]["id"]) == before
    assert use(web, purpose, token).status == purpose.status


@pytest.mark.parametrize("purpose", ["verify", "reset", "restore"], indirect=True)
def test_a_token_in_the_address_is_not_taken(web: Web, link_for: LinkFor, purpose: Purpose) -> None:
    token = link_for(purpose)

    answer = web.call("POST", f"{purpose.used_at}?token={token}", purpose.body)

    assert answer.status == 400
    assert answer.json["code"] == "validation-error"
    assert use(web, purpose, token).status == purpose.status


@pytest.mark.parametrize("purpose", ["reset", "change_email", "undo_email", "restore"], indirect=True)
def test_whatever_is_wrong_with_a_link_is_answered_the_same(
    web: Web, opened: Opened, link_for: LinkFor, purpose: Purpose
) -> None:
    void = [link_for(purpose)] if purpose.name != "undo_email" else []
    used = link_for(purpose)
    assert use(web, purpose, used).status == purpose.status
    wrong = [
        *void, used, used[:-1], used + "A", used.swapcase(), "A" * 43, "x", "\u0430" * 43, "A" * 60_000, " ",
        "' or 1=1", opened["refresh_token"], opened["token"],
    ]  # fmt: skip

    answers = [use(web, purpose, token) for token in wrong]

    told = {(answer.status, re.sub(rb'"request_id": "[^"]+"', b"", answer.body)) for answer in answers}
    assert len(told) == 1
    assert answers[0].told == INVALID
    assert "request_id" in answers[0].json
    names = [[name for name in answer.headers if name != "Date"] for answer in answers]
    assert [each for each in names if each != names[0]] == []


def tables_with(web: Web, text: str) -> set[str]:
    """Those of which a row, as text, has it."""
    tables = web.sql("select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace")
    having = sql.SQL("select 1 from {} as one where strpos(one::text, %s) > 0")
    return {name for (name,) in tables if web.sql(having.format(sql.Identifier(name)).as_string(), text)}


@pytest.mark.parametrize("purpose", ["verify", "undo_email"], indirect=True)
def test_a_token_is_256_bits_and_stands_nowhere_but_as_its_hash(
    web: Web, opened: Opened, link_for: LinkFor, purpose: Purpose
) -> None:
    token = link_for(purpose)

    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    by_hash = "select encode(hash, 'hex') from accounts_link where user_id = %s and purpose = %s"
    stored = web.sql(by_hash, opened["user"]["id"], purpose.name)
    assert stored == [(hashlib.sha256(token.encode()).hexdigest(),)]
    assert tables_with(web, token) == set()
    # Were it there, it would be found.
    assert "accounts_user" in tables_with(web, opened["user"]["username"])


def test_who_has_shown_the_address_gets_no_more_links_for_it(
    web: Web, mailing: Mailing, opened: Opened, link_for: LinkFor
) -> None:
    address = opened["user"]["email"]
    assert use(web, PURPOSES["verify"], link_for(PURPOSES["verify"])).status == 204

    asked = web.call("POST", RESEND, {"email": address})

    assert (asked.status, asked.json) == (202, {})
    mailing.wait_until_idle(web)
    assert len(mailing.mails_to(address)) == 1
