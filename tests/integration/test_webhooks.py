"""A changed user at the systems beside this one: what arrives, what comes of each answer, and whom it holds up."""

import hmac
import json
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings
from uuid_utils.compat import uuid7

from accounts.event_types import UserChanges, UserUpdated
from accounts.models import OutsideCall, User
from accounts.outside import attempts
from accounts.outside.posting import TookTooLong, resolved_by_system
from accounts.outside.webhooks import LeftAlone, Sender
from devstack.places import CHECKOUT
from events.testing import deliver
from tests.integration.mailing import (
    Mailbox,
    as_time_goes_by,
    environ_for_processes,
    owed_to,
    registered_user,
    reread,
)
from tests.integration.receiving import Answer, Receiver, after, receiver, status
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db

KEY = b"CANARY: thirty-two random bytes!"
SECRET = f"whsec_{b64encode(KEY).decode()}"
AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

ReceiverOf = Callable[..., Receiver]


@pytest.fixture
def receiver_of(settings: Settings) -> Iterator[ReceiverOf]:
    """Makes a receiver that answers so, and has it configured beside those before."""
    with ExitStack() as until_the_end:

        def make(*answers: Answer) -> Receiver:
            one = until_the_end.enter_context(receiver(*answers))
            urls = (*settings.ACCOUNTS["WEBHOOK_URLS"], one.url)
            allowed = {"WEBHOOK_ALLOW_HTTP": True, "WEBHOOK_ALLOW_PRIVATE": True}
            settings.ACCOUNTS = {**settings.ACCOUNTS, "WEBHOOK_URLS": urls, "WEBHOOK_SECRET": SECRET, **allowed}
            return one

        yield make


def update_of(user_id: Any, version: int = 2) -> UserUpdated:
    return UserUpdated(user_id=user_id, version=version, changes=UserChanges(display_name="Ann"), at=AT)


def owed_after(event: UserUpdated) -> OutsideCall:
    deliver(event)
    return OutsideCall.objects.filter(kind="webhook").latest("created_at")


def change(user: User, **columns: Any) -> None:
    """Past the services."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select accounts_unguarded('a test')")
        User.objects.filter(pk=user.pk).update(**columns)


# what arrives ------------------------------------------------------------------------------------------------


def test_a_changed_user_arrives_once_at_each_receiver(receiver_of: ReceiverOf) -> None:
    both = receiver_of(), receiver_of()
    user = registered_user()
    event = update_of(user.id)
    event_id = deliver(event)
    deliver(event, event_id=event_id)

    for _ in range(2):
        attempts.sweep_webhooks()

    for one in both:
        [arrived] = one.arrived
        assert arrived.path == "/users"
        assert json.loads(arrived.body) == {
            "type": "user.updated",
            "timestamp": "2026-11-24T09:00:00+00:00",
            "data": {
                "id": str(user.id), "username": "ann", "email": "ann@example.com", "email_verified": False,
                "status": "active", "display_name": "", "locale": "en", "time_zone": "UTC", "version": 1,
            },
        }  # fmt: skip
    first, second = (one.arrived[0].headers["webhook-id"] for one in both)
    assert first != second
    assert {call.settled_at is not None for call in OutsideCall.objects.filter(kind="webhook")} == {True}


def test_it_is_signed_as_the_standard_has_it(receiver_of: ReceiverOf) -> None:
    one = receiver_of()
    call = owed_after(update_of(registered_user("änn \u2713").id))

    attempts.sweep_webhooks()

    [arrived] = one.arrived
    assert arrived.headers["Content-Type"] == "application/json"
    assert arrived.headers["webhook-id"] == str(call.id)
    sent_at = datetime.fromtimestamp(int(arrived.headers["webhook-timestamp"]), tz=UTC)
    assert abs(sent_at - timezone.now()) < timedelta(minutes=1)
    version, _, signature = arrived.headers["webhook-signature"].partition(",")
    signed = f"{call.id}.{arrived.headers['webhook-timestamp']}.{arrived.body.decode()}"
    assert version == "v1"
    assert b64decode(signature) == hmac.digest(KEY, signed.encode(), "sha256")


def test_what_goes_is_the_user_as_they_are_when_it_is_sent(receiver_of: ReceiverOf) -> None:
    one = receiver_of()
    user = registered_user()
    deliver(update_of(user.id))
    change(user, display_name="Ann the third", status="suspended", version=7)

    attempts.sweep_webhooks()

    [arrived] = one.arrived
    data = json.loads(arrived.body)["data"]
    assert (data["display_name"], data["status"], data["version"]) == ("Ann the third", "suspended", 7)


@pytest.mark.parametrize("gone", ["never there", "deleted"])
def test_of_a_user_who_is_gone_nothing_goes(receiver_of: ReceiverOf, gone: str) -> None:
    one = receiver_of()
    user = registered_user()
    call = owed_after(update_of(user.id if gone == "deleted" else uuid7()))
    change(user, status="deleted")

    attempts.sweep_webhooks()

    assert one.arrived == []
    assert (reread(call).error, reread(call).failed_at) == ("the user is gone", None)
    assert reread(call).settled_at is not None


def test_a_receiver_that_is_configured_no_more_gets_nothing(receiver_of: ReceiverOf, settings: Settings) -> None:
    one = receiver_of()
    call = owed_after(update_of(registered_user().id))
    settings.ACCOUNTS = {**settings.ACCOUNTS, "WEBHOOK_URLS": ()}

    attempts.sweep_webhooks()

    assert one.arrived == []
    assert reread(call).error == "the receiver is configured no more"
    assert reread(call).settled_at is not None


def test_without_receivers_nothing_is_owed() -> None:
    deliver(update_of(registered_user().id))

    assert not OutsideCall.objects.filter(kind="webhook").exists()


# what comes of each answer ------------------------------------------------------------------------------------


def test_a_failed_attempt_is_repeated_under_the_same_id(receiver_of: ReceiverOf) -> None:
    one = receiver_of(status(500), status(200))
    user = registered_user()
    call = owed_after(update_of(user.id))

    attempts.sweep_webhooks()
    assert (reread(call).attempts, reread(call).error, reread(call).settled_at) == (1, "answer 500", None)
    assert timedelta(seconds=14) < reread(call).next_attempt_at - timezone.now() < timedelta(seconds=30)
    change(user, display_name="Ann", version=2)
    as_time_goes_by(call)
    attempts.sweep_webhooks()

    assert [arrived.headers["webhook-id"] for arrived in one.arrived] == [str(call.id)] * 2
    assert [json.loads(arrived.body)["data"]["version"] for arrived in one.arrived] == [1, 2]
    assert reread(call).settled_at is not None


@pytest.mark.parametrize("code", [300, 304, 400, 401, 404, 429, 503])
def test_an_answer_that_is_no_success_counts(receiver_of: ReceiverOf, code: int) -> None:
    receiver_of(status(code))
    call = owed_after(update_of(registered_user().id))

    attempts.sweep_webhooks()

    assert (reread(call).attempts, reread(call).error) == (1, f"answer {code}")
    assert reread(call).settled_at is reread(call).failed_at is None


def test_a_receiver_that_says_410_is_not_asked_again(receiver_of: ReceiverOf) -> None:
    one = receiver_of(status(410))
    call = owed_after(update_of(registered_user().id))

    for _ in range(2):
        attempts.sweep_webhooks()
        as_time_goes_by(call)

    assert len(one.arrived) == 1
    assert reread(call).error == "answer 410"
    assert reread(call).failed_at is not None


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver_of: ReceiverOf, code: int) -> None:
    with receiver() as elsewhere:
        one = receiver_of(status(code, Location=elsewhere.url))
        call = owed_after(update_of(registered_user().id))

        attempts.sweep_webhooks()

        assert (len(one.arrived), elsewhere.arrived) == (1, [])
    assert reread(call).error == f"answer {code}"


def test_a_receiver_that_is_away_costs_attempts_and_in_the_end_the_call(receiver_of: ReceiverOf) -> None:
    receiver_of().stop()
    call = owed_after(update_of(registered_user().id))

    for attempt in range(1, 21):
        assert (reread(call).attempts, reread(call).failed_at) == (attempt - 1, None)
        attempts.sweep_webhooks()
        as_time_goes_by(call)

    assert (reread(call).attempts, reread(call).error) == (20, "ConnectionRefusedError")
    assert reread(call).failed_at is not None


def test_its_attempts_last_for_days() -> None:
    waits_s = [attempts.WEBHOOK.after_a_failure.wait_s(attempt) for attempt in range(1, 20)]

    # Between half and all of what the steps add up to: 2.5 days in the mean.
    assert 1.6 < timedelta(seconds=sum(waits_s)) / timedelta(days=1) < 3.4


# whom it holds up ---------------------------------------------------------------------------------------------


def test_mails_and_webhooks_are_swept_apart(receiver_of: ReceiverOf, mailbox: Mailbox) -> None:
    one = receiver_of()
    user = registered_user()
    owed_to(user.id)
    deliver(update_of(user.id))

    attempts.sweep()
    assert (len(mailbox.mails()), len(one.arrived)) == (1, 0)

    owed_to_another = owed_to(registered_user("bob", email="bob@example.com").id)
    attempts.sweep_webhooks()
    assert (len(mailbox.mails()), len(one.arrived)) == (1, 1)
    assert reread(owed_to_another).attempts == 0


@pytest.mark.django_db(transaction=True)
def test_while_a_receiver_hangs_no_other_thread_waits_for_one(receiver_of: ReceiverOf, mailbox: Mailbox) -> None:
    released = threading.Event()
    one = receiver_of(after(released))
    user = registered_user()
    hanging, next_one = (owed_after(update_of(user.id, version)) for version in (2, 3))
    mail = owed_to(registered_user("bob", email="bob@example.com").id)
    other = threading.Thread(target=lambda: (attempts.attempt_one(hanging.id), connection.close()))
    other.start()
    try:
        wait_for(lambda: one.arrived)

        attempts.attempt_one(next_one.id)
        attempts.sweep_webhooks()
        attempts.attempt_one(mail.id)

        assert (len(one.arrived), reread(next_one).attempts, reread(next_one).settled_at) == (1, 0, None)
        assert len(mailbox.mails()) == 1
        assert other.is_alive()
    finally:
        released.set()
        other.join()
    attempts.sweep_webhooks()
    assert len(one.arrived) == 2
    assert {reread(call).settled_at is not None for call in (hanging, next_one)} == {True}


def test_a_receiver_that_hung_is_left_alone_for_a_while_and_others_are_not(receiver_of: ReceiverOf) -> None:
    released = threading.Event()
    hanging, quick = receiver_of(after(released)), receiver_of()
    deliver(update_of(registered_user().id))
    to_hanging, to_quick = (OutsideCall.objects.get(facts__receiver=name) for name in names_of(hanging, quick))
    sender = Sender(resolved_by_system, within_s=0.5)

    with pytest.raises(TookTooLong):
        sender.send(to_hanging)
    with pytest.raises(LeftAlone):
        sender.send(to_hanging)
    sender.send(to_quick)

    released.set()
    assert (len(hanging.arrived), len(quick.arrived)) == (1, 1)


def names_of(*receivers: Receiver) -> list[str]:
    """As rows name them: by the beginning of their URL's SHA-256."""
    return [sha256(one.url.encode()).hexdigest()[:16] for one in receivers]


# a worker that dies, and what is left behind ------------------------------------------------------------------

SWEEP = "import django; django.setup(); from accounts.outside import attempts; attempts.sweep_webhooks()"


@pytest.mark.django_db(transaction=True)
def test_what_a_killed_worker_was_sending_comes_again_with_the_same_id(receiver_of: ReceiverOf) -> None:
    released = threading.Event()
    one = receiver_of(after(released), status(204))
    call = owed_after(update_of(registered_user().id))
    env = environ_for_processes() | {
        "WEBHOOK_URLS": one.url, "WEBHOOK_SECRET": SECRET, "WEBHOOK_ALLOW_HTTP": "on", "WEBHOOK_ALLOW_PRIVATE": "on",
        "DJANGO_SETTINGS_MODULE": "usercenter.settings",
    }  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", SWEEP], env=env, cwd=CHECKOUT) as worker:
        wait_for(lambda: one.arrived)
        worker.kill()
    released.set()

    attempts.sweep_webhooks()
    assert len(one.arrived) == 1
    as_time_goes_by(call)
    attempts.sweep_webhooks()

    assert [arrived.headers["webhook-id"] for arrived in one.arrived] == [str(call.id)] * 2
    assert reread(call).settled_at is not None


def test_neither_secret_nor_query_nor_user_is_in_a_row_or_a_log_line(
    receiver_of: ReceiverOf, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    one = receiver_of(status(500), status(410))
    settings.ACCOUNTS = {**settings.ACCOUNTS, "WEBHOOK_URLS": (f"{one.url}?token=CANARY",)}
    caplog.set_level("INFO")
    call = owed_after(update_of(registered_user("CANARY", email="CANARY@example.com").id))

    for _ in range(2):
        attempts.sweep_webhooks()
        as_time_goes_by(call)

    assert [arrived.path for arrived in one.arrived] == ["/users?token=CANARY"] * 2
    with connection.cursor() as cursor:
        cursor.execute("select call::text from accounts_outsidecall as call")
        told = [row for (row,) in cursor.fetchall()]
    lines = [vars(record) for record in caplog.records if record.name == "accounts"]
    assert [line["msg"] for line in lines] == [
        "webhook answered", "outside call failed", "webhook answered", "outside call given up",
    ]  # fmt: skip
    assert [(line["host"], line["status"]) for line in lines[::2]] == [("127.0.0.1", 500), ("127.0.0.1", 410)]
    told += [str(line) for line in lines]
    assert [text for text in told if "CANARY" in text or SECRET[6:] in text] == []
