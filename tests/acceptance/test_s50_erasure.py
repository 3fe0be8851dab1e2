"""S50: of who is deleted nothing is left in tables, cache, logs and dead letters; the confirmation is the last mail."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from devstack import Stack
from tests.acceptance import keeping
from tests.acceptance.administering import bar, chief_of
from tests.acceptance.browsing import Browser, signed_in
from tests.acceptance.house import QUEUE, House, house_of
from tests.acceptance.linking import CHANGE_EMAIL, CONFIRM_EMAIL, NEW, RESTORE, UNDO_EMAIL, VERIFY
from tests.acceptance.mailing import RESET, token_in
from tests.acceptance.web import CHANGE_PASSWORD, LOGIN, ME, PASSWORD, REGISTER, bearer
from tests.asyncapi import wrong_record
from tests.integration.raw_records import Raw
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db

# What has to do with users, and had something of the person before: else nothing would be shown.
TOLD_OF = {
    "accounts_user", "accounts_session", "accounts_loginrecord", "accounts_securityrecord", "accounts_link",
    "accounts_outsidecall", "django_admin_log", "events_outbox", "events_parked",
}  # fmt: skip
CONFIRMED = "Your account was deleted"


@dataclass
class Person:
    """Somebody whose every name has the same stem, at addresses that nobody else has."""

    house: House
    stem: str
    network: str
    opened: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.opened["user"]["id"])

    @property
    def address(self) -> str:
        return f"{self.stem}@{self.stem}.example"

    @property
    def words(self) -> Sequence[str]:
        """What tells of them."""
        return self.stem, self.network

    def asks(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """From an address and a device of theirs; the answer's body."""
        place = {"X_Forwarded_For": f"{self.network}77", "User_Agent": f"{self.stem}phone"}
        answer = self.house.web.call(method, path, body, **place, **headers)
        assert answer.status < 300, answer.body
        return answer.json if answer.body else None

    def registers(self) -> "Person":
        body = {"username": self.stem, "email": self.address, "password": PASSWORD}
        self.opened = self.asks("POST", REGISTER, body)
        return self

    def signs_in(self, device: str) -> dict[str, str]:
        """The header of a new session."""
        body = {"identifier": self.stem, "password": PASSWORD, "device_name": f"{self.stem}'s {device}"}
        return bearer(self.asks("POST", LOGIN, body)["token"])

    def places(self) -> dict[str, str]:
        """Where something of them might stand."""
        house = self.house
        logs = {"relay": house.relay.log, "consumer": house.consumer.log, "worker": house.mailing.log}
        kept = {name: "\n".join(rows) for name, rows in keeping.tables(house.web).items()}
        return kept | keeping.valkey([0, QUEUE]) | {name: log.read_text() for name, log in logs.items()}

    def found(self) -> list[tuple[str, str]]:
        return keeping.holding(self.places(), self.words)

    def mails(self, address: str = "") -> list[str]:
        """Subjects, the oldest first."""
        return [mail["Subject"] for mail in self.house.mailing.mails_to(address or self.address)]

    def is_erased(self) -> bool:
        return self.house.web.sql("select username like 'deleted~%%' from accounts_user where id = %s", self.id) == [
            (True,)
        ]


@pytest.fixture(scope="module")
def house(django_db_setup: None, parts: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_of(parts, tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="module")
def chief(house: House) -> Mapping[str, Any]:
    return chief_of(house.web)


@pytest.fixture
def no_mail(parts: Stack) -> Iterator[Stack]:
    """The mail server, which is back afterwards."""
    yield parts
    parts.smtp.start()


def a_life(person: Person, chief: Mapping[str, Any]) -> None:
    """Signs in and fails to, changes everything, is looked after by staff in both ways; all has had its effects."""
    house = person.registers().house
    for n in range(2):
        house.web.call("POST", LOGIN, {"identifier": person.stem, "password": f"wrong-{n}"},
                       X_Forwarded_For=f"{person.network}78")  # fmt: skip
    person.signs_in("desk")
    house.wait_until_settled()
    session = person.signs_in("bag")
    house.wait_until_settled()  # its alert goes to the address that the user has by then
    person.asks("PATCH", ME, {"display_name": f"{person.stem} the second"}, If_Match="*", **session)
    person.asks("POST", CHANGE_EMAIL, {"new_email": f"new@{person.stem}.example"}, **session)
    [link] = house.mailing.tokens_to(f"new@{person.stem}.example")
    person.asks("POST", CONFIRM_EMAIL, {"token": link})
    by_staff(signed_in(house.web, chief["user"]), person)
    house.wait_until_settled()
    assert "Please look at your account" in person.mails()


def by_staff(browser: Browser, person: Person) -> None:
    """By the admin's pages, which keep a record of their own."""
    assert browser.change(person.id, display_name=f"{person.stem} by staff").status == 302
    for act in ("suspend", "reactivate"):
        [said] = browser.act(act, person.id, reason=f"{person.stem} has complained")
        assert person.stem in said


def something_goes_wrong(person: Person) -> None:
    """One delivery is set aside for a day; others are given up: a forged one, and one that nobody can read."""
    house = person.house
    session = person.signs_in("sofa")
    house.wait_until_settled()
    house.web.sql("alter table accounts_securityrecord rename to accounts_securityrecord_away")
    try:
        body = {"current_password": PASSWORD, "new_password": NEW}
        person.asks("POST", CHANGE_PASSWORD, body, **session)
        wait_for(lambda: parked(house, "dead_at is null") == ["log-password-changed"])
    finally:
        house.web.sql("update events_parked set next_attempt_at = now() + interval '1 day'")
        house.web.sql("alter table accounts_securityrecord_away rename to accounts_securityrecord")
    [(place, known), *_] = [one for one in house.records() if one[1].key == person.id.encode()]
    headers = {**dict(known.headers), "ce_id": str(uuid7()).encode()}
    house.send([(place, Raw(known.key, known.value, tuple(headers.items()))), (place, Raw(known.key, known.value))])
    wait_for(lambda: len(parked(house, "dead_at is not null")) == 2)
    house.wait_until_settled()
    copies = [raw for _, raw in house.records(".dlq") if raw.key == known.key]
    assert len(copies) == 2
    assert [wrong_record("user_events.dlq", raw.key or b"", raw.headers, raw.value or b"") for raw in copies] == [
        [],
        [],
    ]


def parked(house: House, which: str) -> list[str]:
    """The handlers of deliveries that are set aside, or given up."""
    return [handler for (handler,) in house.web.sql(f"select handler from events_parked where {which}")]  # noqa: S608


def is_gone(person: Person) -> None:
    """Wherever we look; but for the topics, which forget by their retention."""
    person.house.wait_until_settled()
    assert person.found() == []


# the whole of it -----------------------------------------------------------------------------------------------


def test_of_who_is_deleted_at_once_nothing_is_left_and_the_confirmation_comes_when_mail_goes_again(
    house: House, chief: Mapping[str, Any], no_mail: Stack
) -> None:
    person = Person(house, "quagga", "203.0.113.")
    a_life(person, chief)
    something_goes_wrong(person)
    last = f"new@{person.stem}.example"
    no_mail.smtp.stop()
    person.asks("POST", RESET, {"email": last})
    wait_for(lambda: house.web.sql("select 1 from accounts_outsidecall where kind = 'reset' and error <> ''"))
    before = {place for _, place in person.found()}
    assert before >= TOLD_OF | {f"0 usercenter:profile:{person.id}"}

    bar(house.web, chief, person.id, "deleted")
    wait_for(person.is_erased)

    # Without the address nobody could be told.
    assert {place for _, place in person.found()} == {"accounts_outsidecall"}
    told = house.web.sql("select kind, email from accounts_outsidecall where email <> '' order by kind")
    assert told == [("deleted", last), ("reset", last)]
    assert CONFIRMED not in person.mails(last)
    no_mail.smtp.start()
    house.web.sql("update accounts_outsidecall set next_attempt_at = now() where settled_at is null")
    house.run_task("accounts.tasks.sweep_outside_calls")
    is_gone(person)
    assert person.mails(last)[-1] == CONFIRMED
    assert CONFIRMED not in person.mails()
    assert (len(parked(house, "dead_at is null")), len(parked(house, "dead_at is not null"))) == (1, 2)


def test_after_the_grace_it_is_the_same_and_waits_for_the_cache(house: House, chief: Mapping[str, Any]) -> None:
    person = Person(house, "okapi", "198.51.100.")
    a_life(person, chief)
    last, session = f"new@{person.stem}.example", person.signs_in("desk")
    left = person.asks("DELETE", ME, **session)
    assert left["status"] == "pending_deletion"
    house.wait_until_settled()
    way_back = house.mailing.mails_to(last)[-1]
    assert way_back["Subject"] == "Your account is going to be deleted"
    house.web.unguarded("update accounts_user set delete_after = now() where id = %s", person.id)

    with house.cache.refusing():
        house.run_task("accounts.tasks.end_graces")
        wait_for(lambda: '"part": "clean-up"' in house.consumer.log.read_text())
        row = "select status, username from accounts_user where id = %s"
        assert house.web.sql(row, person.id) == [("deleted", person.stem)]
        assert house.web.sql("select count(*) from accounts_outsidecall where kind = 'deleted' and email <> ''") == [
            (0,)
        ]
    wait_for(person.is_erased)

    is_gone(person)
    assert person.mails(last)[-2:] == [way_back["Subject"], CONFIRMED]
    assert keeping.valkey([0])[f"0 usercenter:profile:{person.id}"].startswith("{'version': ")
    assert house.web.call("POST", RESTORE, {"token": token_in(way_back)}).told == (400, "invalid-link")


def test_name_and_addresses_can_be_registered_again_and_the_next_owner_gets_nothing_of_the_former(
    house: House, chief: Mapping[str, Any]
) -> None:
    person = Person(house, "dodo", "192.0.2.")
    a_life(person, chief)
    last = f"new@{person.stem}.example"
    links = [token_in(mail) for mail in house.mailing.mails_to(person.address) if "#token=" in str(mail)]
    bar(house.web, chief, person.id, "deleted")
    house.wait_until_settled()
    known = {address: person.mails(address) for address in (person.address, last)}

    next_one = Person(house, person.stem, person.network).registers()
    another = house.web.register(email=last)["user"]
    house.wait_until_settled()

    for address, mails in known.items():
        assert person.mails(address) == [*mails, "Welcome to usercenter"]
    assert links
    for path in (VERIFY, UNDO_EMAIL):
        answers = [house.web.call("POST", path, {"token": token}).told for token in links]
        assert answers == [(400, "invalid-link")] * len(links)
    for log in ("accounts_loginrecord", "accounts_securityrecord"):
        theirs = f"select count(*) from {log} where user_id in (%s, %s)"  # noqa: S608 - a table
        assert house.web.sql(theirs, next_one.id, another["id"]) == [(0,)]
    told = house.web.me(next_one.opened["token"]).json
    assert (told["username"], told["display_name"], told["version"]) == (person.stem, "", 1)


def test_tokens_of_who_is_erased_open_nothing(house: House, chief: Mapping[str, Any]) -> None:
    person = Person(house, "thylacine", "100.64.8.").registers()
    bar(house.web, chief, person.id, "deleted")
    house.wait_until_settled()
    token = bearer(person.opened["token"])

    paths = [ME, f"{ME}/sessions", f"{ME}/settings", f"{ME}/login-log", f"/api/v1/users/{person.id}/profile"]
    answers = [house.web.call("GET", path, **token).told for path in paths]

    assert answers == [(401, "session-revoked")] * len(paths)
    assert house.web.refresh(person.opened["refresh_token"]).told == (401, "invalid-token")
    assert house.web.login(person.stem).told == (401, "invalid-credentials")


def test_a_deletion_that_is_told_again_changes_nothing(house: House, chief: Mapping[str, Any]) -> None:
    person = Person(house, "aurochs", "100.64.7.").registers()
    bar(house.web, chief, person.id, "deleted")
    is_gone(person)
    before, mails = keeping.tables(house.web), person.mails()
    told = "select event_id, partition from events_outbox where key = %s and type = 'user.deleted'"
    [(event_id, _)] = house.web.sql(told, person.id)
    [again] = [
        one for one in house.records() if dict(one[1].headers).get("ce_id") == str(event_id).encode()
    ]  # fmt: skip

    for _ in range(2):
        # As if the inbox had forgotten it.
        house.web.sql("delete from events_inbox where event_id = %s", event_id)
        house.send([again, again])
        house.wait_until_consumed()
        house.wait_until_settled()

    after = keeping.tables(house.web)
    assert {name for name in after if after[name] != before[name]} == {"events_inbox"}
    assert (person.mails(), mails[-1]) == (mails, CONFIRMED)
