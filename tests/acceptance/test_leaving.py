"""DELETE /users/me and POST /users/restore: access ends at once, the account later, and until then it comes back."""

from typing import Any

import pytest

from tests.acceptance.linking import RESTORE, Owner, another_address, owner_in, state_of
from tests.acceptance.mailing import Mailing
from tests.acceptance.visiting import visitor
from tests.acceptance.web import ME, PASSWORD, REGISTER, TOKEN_ANSWER, Call, Web, bearer

INVALID, PENDING = (400, "invalid-link"), (403, "account-pending-deletion")


@pytest.fixture
def owner(web: Web, mailing: Mailing) -> Owner:
    """Somebody who leaves."""
    return owner_in(web, mailing)


def moves(web: Web, user_id: str) -> list[tuple[str, str, str, bool]]:
    """What user.status_changed told: from, to, the reason, and whether there is an end."""
    events = web.published(user_id, "user.status_changed")
    return [(event["from"], event["to"], event["reason"], event["until"] is not None) for event in events]


def failures(web: Web, owner: Owner) -> list[str]:
    """Why signing in has failed, by the login log."""
    found = web.sql("select reason from accounts_loginrecord where user_id = %s order by at", owner.id)
    return [reason for (reason,) in found]


def by_password(owner: Owner, password: str = PASSWORD) -> dict[str, str]:
    return {"identifier": owner.address, "password": password}


def leave(web: Web, owner: Owner) -> None:
    assert web.call("DELETE", ME, **bearer(owner.token)).status == 202


# leaving -----------------------------------------------------------------------------------------------------


def test_an_open_session_is_not_enough(web: Web, owner: Owner) -> None:
    old, before = web.aged(owner.opened), state_of(web, owner.id)

    assert web.call("DELETE", ME, **bearer(old)).told == (403, "reauthentication-required")
    assert state_of(web, owner.id) == before


def test_all_access_ends_and_the_account_waits_thirty_days(web: Web, owner: Owner) -> None:
    other = web.sign_in(owner.opened["user"])

    answer = web.call("DELETE", ME, **bearer(owner.token))

    assert (answer.status, answer.json["status"]) == (202, "pending_deletion")
    waits = (
        "select delete_after = %s and delete_after = updated_at + interval '30 days' from accounts_user where id = %s"
    )
    assert web.sql(waits, answer.json["delete_after"], owner.id) == [(True,)]
    assert [web.me(token).status for token in (owner.token, other["token"])] == [401, 401]
    assert web.refresh(other["refresh_token"]).status == 401
    assert moves(web, owner.id) == [("active", "pending_deletion", "requested by the user", True)]
    assert web.published(owner.id, "user.status_changed")[0]["until"] == answer.json["delete_after"]
    assert web.published(owner.id, "user.deleted") == []


def test_only_who_knows_the_password_is_told_that_it_waits(web: Web, owner: Owner) -> None:
    leave(web, owner)

    assert web.login(owner.address).told == PENDING
    assert web.login(owner.address, "CANARY-pw-wrong").told == (401, "invalid-credentials")
    sessions = "select count(*) from accounts_session where user_id = %s and ended_at is null"
    assert web.sql(sessions, owner.id) == [(0,)]


def test_its_names_stay_taken(web: Web, owner: Owner) -> None:
    leave(web, owner)
    names = {"username": owner.opened["user"]["username"], "email": another_address(), "password": PASSWORD}

    assert web.call("POST", REGISTER, names).told == (409, "username-taken")
    assert web.call("POST", REGISTER, names | {"username": f"n{names['username']}", "email": owner.address}).told == (
        409, "email-taken",
    )  # fmt: skip


def test_leaving_takes_nothing_with_it(web: Web, owner: Owner) -> None:
    before = state_of(web, owner.id)

    with_body = web.call("DELETE", ME, {"immediately": True}, **bearer(owner.token))
    with_parameter = web.call("DELETE", f"{ME}?immediately=1", **bearer(owner.token))

    assert (with_body.status, with_body.codes) == (400, [("/immediately", "unknown_field")])
    assert (with_parameter.status, with_parameter.codes) == (400, [("immediately", "unknown_field")])
    assert state_of(web, owner.id) == before


def test_of_twenty_at_once_one_leaves(web: Web, owner: Owner) -> None:
    answers = web.race([Call("DELETE", ME, headers=bearer(owner.token))] * 20)

    assert sorted(answer.status for answer in answers) == [202] + [401] * 19
    assert len(moves(web, owner.id)) == 1


def test_the_last_superuser_stays(web: Web, owner: Owner) -> None:
    web.unguarded("update accounts_user set is_superuser = id = %s, is_staff = id = %s", owner.id, owner.id)

    refused = web.call("DELETE", ME, **bearer(owner.token))

    assert refused.told == (409, "last-admin")
    assert web.me(owner.token).status == 200
    other = web.register()["user"]["id"]
    web.unguarded("update accounts_user set is_superuser = true, is_staff = true where id = %s", other)
    leave(web, owner)


# coming back -------------------------------------------------------------------------------------------------


def test_the_link_of_the_mail_brings_the_account_back_and_signs_in(web: Web, owner: Owner) -> None:
    token = owner.link("restore")

    answer = web.call("POST", RESTORE, {"token": token})

    assert (answer.status, set(answer.json)) == (200, TOKEN_ANSWER)
    now = web.me(answer.json["token"]).json
    assert answer.json["user"] == now
    assert (now["status"], now["version"], now["email"]) == ("active", 3, owner.address)
    assert moves(web, owner.id)[1:] == [("pending_deletion", "active", "restored by the user", False)]
    assert web.me(owner.token).status == 401
    assert web.call("POST", RESTORE, {"token": token}).told == INVALID
    # Nobody has given a password: the next thing that needs one needs it still.
    assert web.call("DELETE", ME, **bearer(answer.json["token"])).told == (403, "reauthentication-required")
    assert web.sql("select delete_after, former_status from accounts_user where id = %s", owner.id) == [(None, "")]


def test_name_and_password_bring_it_back_and_void_the_link(web: Web, owner: Owner) -> None:
    token = owner.link("restore")
    wrong = web.call("POST", RESTORE, by_password(owner, "CANARY-pw-wrong"))
    assert wrong.told == (401, "invalid-credentials")

    answer = web.call("POST", RESTORE, by_password(owner))

    assert (answer.status, answer.json["user"]["status"]) == (200, "active")
    assert web.me(answer.json["token"]).status == 200
    assert web.call("POST", RESTORE, {"token": token}).told == INVALID
    assert web.call("POST", RESTORE, by_password(owner)).told == (409, "invalid-state")
    assert len(moves(web, owner.id)) == 2


def test_who_leaves_again_needs_the_link_of_that_time(web: Web, owner: Owner) -> None:
    first = owner.link("restore")
    back = web.call("POST", RESTORE, by_password(owner)).json
    again = Owner(web, owner.mailing, back)

    second = again.link("restore")

    assert web.call("POST", RESTORE, {"token": first}).told == INVALID
    assert web.call("POST", RESTORE, {"token": second}).status == 200


def test_who_was_barred_before_stays_barred(web: Web, owner: Owner) -> None:
    token = owner.link("restore")
    web.unguarded("update accounts_user set former_status = 'suspended' where id = %s", owner.id)
    before = state_of(web, owner.id)

    assert web.call("POST", RESTORE, {"token": token}).told == INVALID
    assert web.call("POST", RESTORE, by_password(owner)).told == (403, "account-suspended")
    assert web.call("POST", RESTORE, by_password(owner, "CANARY-pw-wrong")).told == (401, "invalid-credentials")
    assert state_of(web, owner.id) == before
    assert failures(web, owner) == ["not_restored", "wrong_password"]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("active", (409, "invalid-state")),
        ("suspended", (403, "account-suspended")),
        ("deleted", (401, "invalid-credentials")),
    ],
)
def test_what_does_not_wait_does_not_come_back(web: Web, owner: Owner, status: str, told: tuple[int, str]) -> None:
    """Who tries a stolen password here leaves a trace."""
    web.unguarded("update accounts_user set status = %s where id = %s", status, owner.id)
    before = state_of(web, owner.id)

    assert web.call("POST", RESTORE, by_password(owner)).told == told
    assert state_of(web, owner.id) == before
    assert failures(web, owner) == ["not_restored"]


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({}, ["/token"]), ({"identifier": "ann"}, ["/password"]), ({"password": PASSWORD}, ["/identifier"]),
        ({"token": "x", "password": PASSWORD}, ["/password"]),
        ({"token": "x", "identifier": "ann", "password": PASSWORD}, ["/identifier", "/password"]),
        ({"token": 7}, ["/token"]), ({"identifier": "ann", "password": 7}, ["/password"]),
        ({"token": "x", "user_id": "y"}, ["/user_id"]),
    ],
)  # fmt: skip
def test_one_way_back_is_taken_and_that_whole(web: Web, body: dict[str, Any], places: list[str]) -> None:
    answer = web.call("POST", RESTORE, body)

    assert (answer.status, [place for place, _ in answer.codes]) == (400, places)


def test_of_twenty_at_once_one_comes_back(web: Web, owner: Owner) -> None:
    leave(web, owner)

    answers = web.race_to_the_end([Call("POST", RESTORE, by_password(owner))] * 20)

    assert sorted(answer.status for answer in answers) == [200] + [409] * 19
    assert len(moves(web, owner.id)) == 2


def test_it_is_no_other_door_for_guesses(guarded: Web, owner: Owner) -> None:
    leave(owner.web, owner)
    eve = visitor(guarded)

    answers = [eve.post(RESTORE, by_password(owner, f"CANARY-pw-wrong-{n}")) for n in range(10)]

    assert [answer.told for answer in answers] == [(401, "invalid-credentials")] * 10
    assert eve.post(RESTORE, by_password(owner)).told == (429, "rate-limited")
    assert eve.login(owner.address).told == (429, "rate-limited")
    assert visitor(guarded).post(RESTORE, by_password(owner)).status == 200
