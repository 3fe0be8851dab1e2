"""Webhooks beside all else: whom a receiver that hangs holds up, what a killed worker leaves, and what is kept."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import sha256

import pytest
from django.db import connection
from pytest_django import Settings

from accounts.models import OutsideCall
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
from tests.integration.receiving import (
    SECRET,
    Receiver,
    ReceiverOf,
    after,
    configured_receivers,
    owed_after,
    status,
    update_of,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver_of(settings: Settings) -> Iterator[ReceiverOf]:
    with configured_receivers(settings) as make:
        yield make


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
    sender = Sender(resolved_by_system, within_s=2)

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
    lines = [vars(record) for record in caplog.records if hasattr(record, "call_id")]
    assert [line["msg"] for line in lines] == [
        "webhook answered", "outside call failed", "webhook answered", "outside call given up",
    ]  # fmt: skip
    assert [(line["host"], line["status"]) for line in lines[::2]] == [("127.0.0.1", 500), ("127.0.0.1", 410)]
    told += [str(line) for line in lines]
    assert [text for text in told if "CANARY" in text or SECRET[6:] in text] == []
