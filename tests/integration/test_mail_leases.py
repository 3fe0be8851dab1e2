"""Who may make an owed call, and when: one taker at a time, and another once its lease is over."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import OutsideCall
from accounts.outside import attempts, calls
from tests.integration.mailing import Mailbox, as_time_goes_by, owed_to, registered_user, reread

pytestmark = pytest.mark.django_db


def test_who_takes_a_call_has_it_alone_until_the_lease_is_over() -> None:
    call = owed_to(uuid7())

    first = calls.take()
    assert first is not None
    assert calls.take() is calls.take(call.id) is None

    as_time_goes_by(call)
    second = calls.take(call.id)
    assert second is not None
    assert (first.pk, first.attempts, second.pk, second.attempts) == (call.pk, 1, call.pk, 2)
    assert second.next_attempt_at - timezone.now() > timedelta(seconds=100)


def test_calls_are_taken_in_the_order_they_fell_due() -> None:
    late, early = owed_to(uuid7()), owed_to(uuid7())
    OutsideCall.objects.filter(pk=early.pk).update(next_attempt_at=F("next_attempt_at") - timedelta(minutes=1))

    assert [taken.pk for taken in (calls.take(), calls.take()) if taken] == [early.pk, late.pk]


def test_a_taker_whose_lease_is_over_cannot_undo_what_its_successor_does() -> None:
    call = owed_to(uuid7())
    slow = calls.take()
    as_time_goes_by(call)
    successor = calls.take()
    assert slow is not None
    assert successor is not None

    calls.give_up(slow, error="late")
    calls.retry(slow, in_s=0, error="late", counts=True)
    assert (reread(call).error, reread(call).failed_at, reread(call).attempts) == ("", None, 2)

    calls.settle(successor)
    calls.give_up(successor, error="too late")
    assert (reread(call).error, reread(call).failed_at) == ("", None)


def test_a_taker_whose_lease_is_over_may_still_say_that_it_was_done() -> None:
    call = owed_to(uuid7())
    slow = calls.take()
    as_time_goes_by(call)
    calls.take()
    assert slow is not None

    calls.settle(slow)

    as_time_goes_by(call)
    assert calls.take() is None


def test_a_call_whose_takers_all_died_is_given_up(mailbox: Mailbox) -> None:
    call = owed_to(registered_user().id)
    OutsideCall.objects.filter(pk=call.pk).update(attempts=10)

    attempts.sweep()

    assert mailbox.mails() == []
    assert reread(call).error == "TakenTooOften"
    assert reread(call).failed_at is not None


@pytest.mark.django_db(transaction=True)
def test_two_takers_at_once_get_different_calls_and_neither_waits() -> None:
    first, second = owed_to(uuid7()), owed_to(uuid7())
    taken: list[OutsideCall | None] = []

    with transaction.atomic():
        mine = calls.take()
        other = threading.Thread(target=lambda: (taken.append(calls.take()), connection.close()))
        other.start()
        other.join(timeout=10)
        assert not other.is_alive()

    assert mine is not None
    assert taken[0] is not None
    assert {mine.pk, taken[0].pk} == {first.pk, second.pk}
