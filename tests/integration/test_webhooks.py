"""A changed user at the systems beside this one: what arrives, and what comes of each answer."""

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings
from uuid_utils.compat import uuid7

from accounts.event_types import Status, UserDeleted, UserStatusChanged
from accounts.models import OutsideCall, User
from accounts.outside import attempts, calls
from events.testing import deliver
from tests.integration.mailing import as_time_goes_by, registered_user, reread
from tests.integration.receiving import (
    KEY,
    SECRET,
    Arrived,
    ReceiverOf,
    change,
    configured_receivers,
    owed_after,
    receiver,
    status,
    update_of,
)

pytestmark = pytest.mark.django_db
NINE = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.fixture
def receiver_of(settings: Settings) -> Iterator[ReceiverOf]:
    with configured_receivers(settings) as make:
        yield make


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


def test_of_two_secrets_a_receiver_needs_to_know_one(receiver_of: ReceiverOf, settings: Settings) -> None:
    one = receiver_of()
    new, strange = b"the secret that comes after it", b"what nobody has been told"
    settings.ACCOUNTS = {**settings.ACCOUNTS, "WEBHOOK_SECRET": f"whsec_{b64encode(new).decode()},{SECRET}"}
    owed_after(update_of(registered_user().id))

    attempts.sweep_webhooks()

    [arrived] = one.arrived
    assert [is_genuine(arrived, key) for key in (new, KEY, strange)] == [True, True, False]


def is_genuine(arrived: Arrived, key: bytes) -> bool:
    """As a receiver looks that has this key alone (Standard Webhooks: signatures stand apart by blanks)."""
    signed = f"{arrived.headers['webhook-id']}.{arrived.headers['webhook-timestamp']}.".encode() + arrived.body
    expected = "v1," + b64encode(hmac.digest(key, signed, "sha256")).decode()
    return any(hmac.compare_digest(expected, one) for one in arrived.headers["webhook-signature"].split(" "))


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


# suspensions, deletions --------------------------------------------------------------------------------------


def moved(user: User, former: Status, to: Status) -> UserStatusChanged:
    """The row, and the event that tells of it."""
    change(user, status=to, version=2)
    return UserStatusChanged(user_id=user.id, version=2, former=former, to=to, reason="spam", at=NINE)


def deleted(user: User) -> UserDeleted:
    change(user, status="deleted", version=2)
    return UserDeleted(user_id=user.id, version=2, at=NINE)


@pytest.mark.parametrize(
    ("former", "to"), [("active", "suspended"), ("suspended", "active"), ("active", "pending_deletion")]
)
def test_another_status_arrives_without_its_reason(receiver_of: ReceiverOf, former: Status, to: Status) -> None:
    one = receiver_of()
    deliver(moved(registered_user(), former, to))

    attempts.sweep_webhooks()

    [arrived] = one.arrived
    told = json.loads(arrived.body)
    assert (told["type"], told["timestamp"]) == ("user.status_changed", "2026-11-24T09:00:00+00:00")
    assert (told["data"]["status"], told["data"]["version"]) == (to, 2)
    assert b"spam" not in arrived.body


def test_a_deletion_arrives_as_the_id_alone_and_nothing_else_of_the_user(receiver_of: ReceiverOf) -> None:
    both = receiver_of(), receiver_of()
    user = registered_user()
    deliver(update_of(user.id))
    event = deleted(user)
    event_id = deliver(event)
    deliver(event, event_id=event_id)

    for _ in range(4):
        attempts.sweep_webhooks()

    for one in both:
        [arrived] = one.arrived
        assert json.loads(arrived.body) == {
            "type": "user.deleted", "timestamp": "2026-11-24T09:00:00+00:00", "data": {"id": str(user.id)},
        }  # fmt: skip
    assert not User.objects.filter(pk=user.id, username="ann").exists()


def test_a_deletion_is_told_however_late_and_without_the_row(receiver_of: ReceiverOf) -> None:
    one = receiver_of(status(500), status(200))
    user = registered_user()
    call = owed_after(deleted(user))
    attempts.sweep_webhooks()
    calls.forget(user.id)
    change(user, status="active")
    User.objects.filter(pk=user.id).delete()
    as_time_goes_by(call)

    attempts.sweep_webhooks()

    first, second = one.arrived
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert reread(call).settled_at is not None


def test_a_deletion_of_somebody_who_is_there_is_told_to_nobody(receiver_of: ReceiverOf) -> None:
    receiver_of()
    for user_id in (registered_user().id, uuid7()):
        deliver(UserDeleted(user_id=user_id, version=2, at=NINE))

    assert not OutsideCall.objects.filter(kind="webhook").exists()


# what comes of each answer ------------------------------------------------------------------------------------


def test_a_failed_attempt_is_repeated_under_the_same_id(receiver_of: ReceiverOf) -> None:
    one = receiver_of(status(500), status(200))
    user = registered_user()
    call = owed_after(update_of(user.id))

    began = timezone.now()
    attempts.sweep_webhooks()
    assert (reread(call).attempts, reread(call).error, reread(call).settled_at) == (1, "answer 500", None)
    assert began + timedelta(seconds=15) < reread(call).next_attempt_at < timezone.now() + timedelta(seconds=30)
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
