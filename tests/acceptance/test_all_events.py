"""Each of the eight events on the real parts, from its REST call to every effect; and that no repeat has another."""

import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from devstack import Stack
from devstack.places import CHECKOUT
from tests.acceptance import keeping
from tests.acceptance.administering import bar, chief_of
from tests.acceptance.house import House, house_of
from tests.acceptance.linking import NEW
from tests.acceptance.web import CHANGE_PASSWORD, LOGIN, LOGOUT, ME, PASSWORD, bearer
from tests.asyncapi import WRITTEN, wrong_record
from tests.integration.consuming import committed
from tests.integration.mailing import html_of, text_of
from tests.integration.receiving import SECRET, Receiver, receiver

pytestmark = pytest.mark.django_db

# As the specification's table has it; systems beside this one hear of a new status and of a deletion, too.
HANDLERS = {
    "user.registered": {"send-welcome", "initialise-settings", "count-registration"},
    "user.logged_in": {"write-login-log", "update-last-login", "check-login"},
    "user.password_changed": {"mail-password-changed", "log-password-changed"},
    "user.security_alert": {"mail-alert", "log-alert"},
    "user.status_changed": {"tell-status", "refresh-profile-status", "sync-webhooks-status"},
    "user.updated": {"refresh-profile", "sync-webhooks"},
    "user.deleted": {"clean-up", "sync-webhooks-deleted"},
}
HOME, AWAY = ("203.0.113.7", "Firefox"), ("198.51.100.9", "A phone")


@dataclass(frozen=True)
class Story:
    """Ann did everything; Bob was deleted at once; the chief did that."""

    house: House
    ann: Mapping[str, Any]
    bob: Mapping[str, Any]
    hooks: Receiver

    def rows(self, statement: str, who: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return self.house.web.sql(statement, who["id"])

    def mails(self, who: Mapping[str, Any]) -> list[str]:
        """Their subjects, in no order: two that are owed at once may overtake one another."""
        return sorted(mail["Subject"] for mail in self.house.mailing.mails_to(who["email"]))

    def profiles(self) -> dict[str, str]:
        """What the cache has of the two."""
        kept = keeping.valkey([0])
        return {key: value for key, value in kept.items() if self.ann["id"] in key or self.bob["id"] in key}

    def handled(self) -> list[tuple[str, str]]:
        """Type and handler of each delivery that the consumer has made."""
        lines = [line for line in self.house.consumer.log.read_text().splitlines() if '"event": "handled"' in line]
        return [(told["type"], told["handler"]) for told in map(json.loads, lines)]

    def end(self) -> tuple[object, ...]:
        """All that is kept, has been sent or was called."""
        mails = [self.mails(who) for who in (self.ann, self.bob)]
        return keeping.tables(self.house.web), self.profiles(), mails, len(self.hooks.arrived), self.handled()


@pytest.fixture(scope="module")
def story(
    django_db_setup: None, parts: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:  # fmt: skip
    folder = tmp_path_factory.mktemp("house")
    allowed = {"WEBHOOK_SECRET": SECRET, "WEBHOOK_ALLOW_HTTP": "on", "WEBHOOK_ALLOW_PRIVATE": "on"}
    with receiver() as hooks, house_of(parts, folder, WEBHOOK_URLS=hooks.url, **allowed) as house:
        chief, bob = chief_of(house.web), house.web.register()["user"]
        ann = all_that_ann_does(house)
        bar(house.web, chief, ann["id"], "suspended")
        # One webhook is sent at a time; another's turn is the next sweep, which nobody asks for here.
        house.wait_until_settled()
        bar(house.web, chief, bob["id"], "deleted")
        house.wait_until_settled()
        house.wait_until_consumed()  # offsets are committed after what the log says of them
        yield Story(house, ann, bob, hooks)


def all_that_ann_does(house: House) -> Mapping[str, Any]:
    """Each step when the one before has had its effects: what is told of ann is read when it is told."""
    web = house.web
    ann: Mapping[str, Any] = web.register(username="ann", email="ann@example.com")["user"]
    for ip, device in (HOME, AWAY):
        house.wait_until_settled()
        body = {"identifier": "ann", "password": PASSWORD, "device_name": device}
        opened = web.call("POST", LOGIN, body, X_Forwarded_For=ip).json
    house.wait_until_settled()
    changed = web.call("PATCH", ME, {"display_name": "Ann Other"}, If_Match='"1"', **bearer(opened["token"]))
    assert changed.status == 200
    house.wait_until_settled()
    body = {"current_password": PASSWORD, "new_password": NEW}
    renewed = web.call("POST", CHANGE_PASSWORD, body, X_Forwarded_For=AWAY[0], **bearer(opened["token"]))
    assert web.call("POST", LOGOUT, **bearer(renewed.json["token"])).status == 204
    house.wait_until_settled()
    return ann


# each event's way ----------------------------------------------------------------------------------------------


def test_each_event_is_one_record_in_kafka_in_the_order_of_its_user(story: Story) -> None:
    told, partitions = defaultdict(list), defaultdict(set)
    for partition, raw in story.house.records():
        told[(raw.key or b"").decode()].append(dict(raw.headers)["ce_type"].decode())
        partitions[(raw.key or b"").decode()].add(partition)

    # Those of other tests of this file come again, behind.
    assert told[story.ann["id"]][:8] == [
        "user.registered", "user.logged_in", "user.logged_in", "user.security_alert", "user.updated",
        "user.password_changed", "user.logged_out", "user.status_changed",
    ]  # fmt: skip
    assert told[story.bob["id"]][:2] == ["user.registered", "user.deleted"]
    assert {len(found) for found in partitions.values()} == {1}


def test_what_lies_in_kafka_is_what_the_document_of_events_says(story: Story) -> None:
    seen = set()
    for _, raw in story.house.records():
        assert wrong_record("user_events", raw.key or b"", raw.headers, raw.value or b"") == []
        seen.add(dict(raw.headers)["ce_type"].decode())

    assert seen == WRITTEN["channels"]["user_events"]["messages"].keys()


def test_a_record_that_is_otherwise_would_be_seen(story: Story) -> None:
    (_, raw), *_ = story.house.records()
    key, value = raw.key or b"", raw.value or b""

    assert wrong_record("user_events", key, (*raw.headers, ("x-more", b"1")), value) == ["header x-more is not told"]
    assert wrong_record("user_events", key, raw.headers[1:], value) != []
    assert wrong_record("user_events", key, (*raw.headers, raw.headers[0]), value) != []
    assert wrong_record("user_events", key, raw.headers, b"{}") != []
    assert wrong_record("user_events", b"another", raw.headers, value) == ["the key is not ce_subject"]
    broken = json.dumps(json.loads(value) | {"user_id": "nobody"}).encode()
    assert wrong_record("user_events", key, raw.headers, broken) == ["'nobody' is not a 'uuid'"]


def test_each_handler_of_the_table_was_called_for_its_event(story: Story) -> None:
    called = defaultdict(set)
    for event_type, handler in story.handled():
        called[event_type].add(handler)

    assert called == HANDLERS
    assert story.house.web.sql("select count(*) from events_parked") == [(0,)]


def test_what_the_user_should_know_comes_by_mail_in_text_and_html(story: Story) -> None:
    assert story.mails(story.ann) == [
        "Please look at your account", "Welcome to usercenter", "Your account was suspended",
        "Your password was changed",
    ]  # fmt: skip
    says = {
        "Welcome to usercenter": "#token=",
        "Please look at your account": "from a new device, from a new network",
        "Your account was suspended": "spam",
        "Your password was changed": "changed",
    }
    for mail in story.house.mailing.mails_to(story.ann["email"]):
        for part in (text_of(mail), html_of(mail)):
            assert says[mail["Subject"]] in part, part
            assert "ann" in part


def test_a_registration_has_settings_and_is_counted(story: Story) -> None:
    settings = "select notify_email, notify_sms, version from accounts_usersettings where user_id = %s"
    assert story.rows(settings, story.ann) == [(True, False, 1)]
    assert story.house.web.sql("select kind, sum(n) from accounts_figure group by kind") == [("registered", 3)]


def test_a_login_is_in_the_log_and_the_last_is_known(story: Story) -> None:
    log = "select host(ip), device, outcome from accounts_loginrecord where user_id = %s order by at"
    assert story.rows(log, story.ann) == [(*place, "success") for place in (HOME, AWAY)]
    last = (
        "select last.at = (select max(at) from accounts_loginrecord as log where log.user_id = last.user_id)"
        " from accounts_lastlogin as last where user_id = %s"
    )
    assert story.rows(last, story.ann) == [(True,)]


def test_an_unusual_login_and_a_new_password_are_in_the_security_log(story: Story) -> None:
    log = "select kind, host(ip) from accounts_securityrecord where user_id = %s order by at"
    assert story.rows(log, story.ann) == [("unusual_login", AWAY[0]), ("password_changed", AWAY[0])]


def test_changes_and_what_becomes_of_a_user_arrive_at_the_receiver_of_webhooks(story: Story) -> None:
    changed, suspended, deleted = (json.loads(arrived.body) for arrived in story.hooks.arrived)

    assert [changed["type"], suspended["type"], deleted["type"]] == [
        "user.updated", "user.status_changed", "user.deleted",
    ]  # fmt: skip
    members = ("id", "display_name", "status", "version")
    assert [[told["data"][name] for name in members] for told in (changed, suspended)] == [
        [story.ann["id"], "Ann Other", "active", 2], [story.ann["id"], "Ann Other", "suspended", 4],
    ]  # fmt: skip
    assert deleted["data"] == {"id": story.bob["id"]}


def test_the_cache_has_the_last_version_of_who_is_there_and_a_tombstone_of_who_is_not(story: Story) -> None:
    profiles = story.profiles()
    ann, bob = (profiles[f"0 usercenter:profile:{who['id']}"] for who in (story.ann, story.bob))
    assert ("'version': '4'" in ann, "Ann Other" in ann) == (True, True)
    assert bob == "{'version': '2'}"


def test_a_deletion_clears_the_row_and_is_confirmed_by_the_last_mail(story: Story) -> None:
    row = "select status, username, email from accounts_user where id = %s"
    assert story.rows(row, story.bob) == [("deleted", f"deleted~{story.bob['id']}", "")]
    mails = story.house.mailing.mails_to(story.bob["email"])
    assert [mail["Subject"] for mail in mails] == ["Welcome to usercenter", "Your account was deleted"]
    assert "deleted" in text_of(mails[-1])
    assert "deleted" in html_of(mails[-1])


# again ---------------------------------------------------------------------------------------------------------


def test_records_that_come_three_times_more_in_another_order_change_nothing(story: Story) -> None:
    before = story.end()
    again = story.house.records() * 3
    random.Random(3).shuffle(again)  # noqa: S311 - an order that is the same at each run

    story.house.send(again)
    story.house.wait_until_consumed()
    story.house.wait_until_settled()

    assert story.end() == before


def test_the_group_begins_at_the_earliest_again_and_nothing_changes(story: Story) -> None:
    before = story.end()
    story.house.consumer.stop()
    reset_to_earliest(story.house.events.name)
    assert set(committed(story.house.events).values()) == {0}

    story.house.consumer.start()
    story.house.wait_until_consumed()
    story.house.wait_until_settled()

    assert story.end() == before


def reset_to_earliest(name: str) -> None:
    """By Kafka's own tool, as the README has it."""
    reset = ["kafka-consumer-groups", "--group", name, "--reset-offsets", "--to-earliest", "--topic", name, "--execute"]
    done = subprocess.run(
        [sys.executable, "-m", "devstack", *reset], cwd=CHECKOUT, env=os.environ, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
