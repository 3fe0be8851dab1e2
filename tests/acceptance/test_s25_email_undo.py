"""S25: who reads the mail of the address that was given up has it back for a week, whatever a thief does meanwhile."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.acceptance.administering import EVERYTHING, change
from tests.acceptance.linking import CHANGED, CONFIRM_EMAIL, NEW, RESTORE, UNDO_EMAIL, Owner, another_address, owner_in
from tests.acceptance.mailing import Mailing, token_in
from tests.acceptance.web import CHANGE_PASSWORD, ME, PASSWORD, REGISTER, Answer, Web, bearer, staff
from tests.integration.mailing import text_of
from tests.waiting import wait_for

LEAVING = "Your account is going to be deleted"
INVALID, TAKEN = (400, "invalid-link"), (409, "email-taken")


@pytest.fixture
def owner(web: Web, mailing: Mailing) -> Owner:
    """Whose session a thief has, who knows the password."""
    return owner_in(web, mailing)


def undo(web: Web, token: str) -> Answer:
    return web.call("POST", UNDO_EMAIL, {"token": token})


def address_of(web: Web, owner: Owner) -> str:
    [(email,)] = web.sql("select email from accounts_user where id = %s", owner.id)
    return str(email)


def test_the_way_back_ends_all_sessions_and_opens_none(web: Web, owner: Owner) -> None:
    thief = web.sign_in(owner.opened["user"])
    owner.moves_to(another_address(), thief["token"])

    answer = undo(web, owner.undo_at(owner.address))

    assert (answer.status, answer.body, answer.headers["Set-Cookie"]) == (204, b"", None)
    assert address_of(web, owner) == owner.address
    assert [web.me(token).status for token in (owner.token, thief["token"])] == [401, 401]
    assert web.refresh(thief["refresh_token"]).status == 401
    assert [event["changes"] for event in web.published(owner.id, "user.updated")][1:] == [{"email": owner.address}]
    noted = "select kind from accounts_securityrecord where user_id = %s order by at"
    assert web.sql(noted, owner.id) == [("email_changed",), ("email_change_undone",)]


def test_another_change_does_not_close_it_and_ends_with_it(web: Web, owner: Owner) -> None:
    second, third = another_address(), another_address()
    owner.moves_to(second)
    owner.moves_to(third)
    of_thief = owner.undo_at(second)

    assert undo(web, owner.undo_at(owner.address)).status == 204

    assert address_of(web, owner) == owner.address
    assert undo(web, of_thief).told == INVALID
    assert address_of(web, owner) == owner.address


def test_a_later_change_that_is_undone_does_not_close_the_earlier_one(web: Web, owner: Owner) -> None:
    second = another_address()
    owner.moves_to(second)
    owner.moves_to(another_address())

    assert undo(web, owner.undo_at(second)).status == 204
    assert address_of(web, owner) == second
    assert undo(web, owner.undo_at(owner.address)).status == 204
    assert address_of(web, owner) == owner.address


def test_who_comes_back_by_another_link_leaves_the_thief_none(web: Web, mailing: Mailing, owner: Owner) -> None:
    second, third = another_address(), another_address()
    owner.moves_to(second)
    owner.moves_to(third)
    of_thief = owner.undo_at(second)

    owner.moves_to(owner.address)

    assert undo(web, of_thief).told == INVALID
    [told] = mailing.told(third, CHANGED)
    assert "#token=" not in text_of(told)
    assert address_of(web, owner) == owner.address
    assert undo(web, owner.undo_at(owner.address)).told == INVALID


def test_a_thief_who_is_thrown_out_gains_nothing_by_coming_again(web: Web, owner: Owner) -> None:
    """Undoing leaves the password as it is."""
    second = another_address()
    owner.moves_to(second)
    owner.moves_to(another_address())
    assert undo(web, owner.undo_at(owner.address)).status == 204

    owner.moves_to(second, web.sign_in(owner.opened["user"])["token"])

    assert undo(web, owner.undo_at(owner.address, 2)).status == 204
    assert address_of(web, owner) == owner.address


def test_what_staff_has_set_no_link_changes_back(web: Web, mailing: Mailing, owner: Owner) -> None:
    second, third = another_address(), another_address()
    owner.moves_to(second)
    owner.moves_to(third)
    links = [owner.undo_at(owner.address), owner.undo_at(second)]

    assert change(web, staff(web, *EVERYTHING), owner.id, {"email": owner.address}).status == 200

    assert [undo(web, link).told for link in links] == [INVALID, INVALID]
    [told] = mailing.told(third, CHANGED)
    assert "#token=" not in text_of(told)
    assert address_of(web, owner) == owner.address


def test_it_outlives_another_password(web: Web, owner: Owner) -> None:
    owner.moves_to(another_address())
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert web.call("POST", CHANGE_PASSWORD, body, **bearer(owner.token)).status == 200

    assert undo(web, owner.undo_at(owner.address)).status == 204
    assert address_of(web, owner) == owner.address


def test_an_account_that_a_thief_wants_deleted_comes_back_to_its_owner(
    web: Web, mailing: Mailing, owner: Owner
) -> None:
    owner.moves_to(another_address())
    undoing = owner.undo_at(owner.address)
    assert web.call("DELETE", ME, **bearer(owner.token)).status == 202

    assert undo(web, undoing).status == 204

    status = "select status from accounts_user where id = %s"
    assert web.sql(status, owner.id) == [("pending_deletion",)]
    [mail] = mailing.told(owner.address, LEAVING)
    restored = web.call("POST", RESTORE, {"token": token_in(mail)})
    assert (restored.status, restored.json["user"]["email"]) == (200, owner.address)


def test_a_wish_of_before_is_void_after_it(web: Web, mailing: Mailing, owner: Owner) -> None:
    owner.moves_to(another_address())
    undoing, link, held_up = owner.undo_at(owner.address), owner.link_to(another_address()), another_address()
    mailing.wait_until_drained()
    with web.cache.refusing():
        assert owner.asks_for(held_up).status == 202

    assert undo(web, undoing).status == 204

    assert web.call("POST", CONFIRM_EMAIL, {"token": link}).told == INVALID
    mailing.sweep()
    mailing.wait_until_idle(web)
    assert mailing.mails_to(held_up) == []


# the address is kept meanwhile -------------------------------------------------------------------------------


def test_nobody_else_gets_the_address_while_it_can_come_back(web: Web, mailing: Mailing, owner: Owner) -> None:
    other = owner_in(web, mailing)
    owner.moves_to(another_address())
    wanted = {"username": f"x{owner.opened['user']['username']}", "email": owner.address.upper(), "password": PASSWORD}

    assert web.call("POST", REGISTER, wanted).told == TAKEN
    assert other.asks_for(owner.address).told == TAKEN

    web.sql("update accounts_link set expires_at = now() where user_id = %s", owner.id)
    assert web.call("POST", REGISTER, wanted).status == 201


def test_who_registers_it_at_the_moment_of_the_change_does_not_get_it(web: Web, owner: Owner) -> None:
    """The change is done by hand, and committed once the registration waits for it."""
    name, address = f"x{owner.opened['user']['username']}", another_address()
    wanted = {"username": name, "email": owner.address, "password": PASSWORD}
    waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%%accounts_user%%'"
    with psycopg.connect(web.dsn) as change, ThreadPoolExecutor(1) as pool:
        change.execute("select accounts_unguarded('a test')")
        moved = "update accounts_user set email = %s, email_canonical = %s where id = %s"
        change.execute(moved, (address, address, owner.id))
        change.execute(
            "insert into accounts_link"
            " (user_id, purpose, hash, email_canonical, email, call_id, asked_at, created_at, expires_at)"
            " values (%s, 'undo_email', %s, %s, %s, %s, now(), now(), now() + interval '7 days')",
            (owner.id, b"x" * 32, owner.address, owner.address, owner.id),
        )
        registering = pool.submit(web.call, "POST", REGISTER, wanted)
        wait_for(lambda: web.sql(waits) == [(1,)])
        change.commit()

    assert registering.result().told == TAKEN
    assert web.sql("select count(*) from accounts_user where username = %s", name) == [(0,)]
