"""One attempt at a call that is owed, and what comes of it. Run by `accounts.tasks` in a worker.

An outage is nobody's fault: while the mail server is away no call burns an attempt. Only an answer about this very
call counts against it, until it is given up. A webhook's receiver is not ours: whatever keeps it from answering counts.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from uuid import UUID

from accounts import observe
from accounts.models import OutsideCall
from accounts.outside import calls, mail, webhooks
from events.backoff import Backoff
from events.errors import EventsError, Permanent, Transient
from events.trace import following

DURING_AN_OUTAGE = Backoff(first_s=10, most_s=10)
# A sweep ends before the next one begins.
SWEEP_S = 8.0


class TakenTooOften(Permanent):
    """Each taker of this call died before it could settle it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How calls of one family are made, how often at most, and what they wait for after a failure."""

    make: Callable[[OutsideCall], None]
    attempts_most: int
    after_a_failure: Backoff


def _send_mail(call: OutsideCall) -> None:
    began = time.monotonic()
    mail.send(call)
    observe.record_mail_sent(call, ms=(time.monotonic() - began) * 1000)


# About three hours: long enough for greylisting and a full mailbox to pass.
MAIL = Policy(make=_send_mail, attempts_most=10, after_a_failure=Backoff(first_s=30, most_s=3600))
# About two and a half days: long enough for a weekend.
WEBHOOK = Policy(make=webhooks.send, attempts_most=20, after_a_failure=Backoff(first_s=30, most_s=6 * 3600, factor=3))

# A worker has few threads: receivers that hang hold one of them at a time, and the rest is for the mails.
_one_webhook = Lock()


def attempt_one(call_id: UUID) -> None:
    """Make this call, if it is due and nobody else has it."""
    call = calls.take(call_id)
    if call is None:
        return
    if call.kind != webhooks.KIND:
        _attempt(call)
    elif _one_webhook.acquire(blocking=False):
        try:
            _attempt(call)
        finally:
            _one_webhook.release()
    else:
        # Due at once: the sweep, or another worker's, takes it.
        calls.retry(call, in_s=0, error=call.error, counts=False)


def sweep() -> None:
    """Make the mails that are due, one after the other, for some seconds or until the mail server is away."""
    _sweep(lambda: calls.take(but=[webhooks.KIND]))


def sweep_webhooks() -> None:
    """Make the webhooks that are due, one after the other, for some seconds; none where one is on its way here."""
    if _one_webhook.acquire(blocking=False):
        try:
            _sweep(lambda: calls.take(kind=webhooks.KIND))
        finally:
            _one_webhook.release()


def _sweep(take: Callable[[], OutsideCall | None]) -> None:
    end = time.monotonic() + SWEEP_S
    while time.monotonic() < end and (call := take()) and _attempt(call):
        pass


def _attempt(call: OutsideCall) -> bool:
    """Make the call and settle it; gives False when the outside is away."""
    policy = WEBHOOK if call.kind == webhooks.KIND else MAIL
    with following(call.traceparent):
        try:
            _make(call, policy)
        except calls.NobodyToTell as reason:
            calls.settle(call, skipped=str(reason))
            observe.record_call_skipped(call, reason=str(reason))
        except Transient as error:
            _put_off(call, error)
            return False
        except Exception as error:  # noqa: BLE001 - the task's border: whatever it is, the call must be settled
            _failed(call, error, policy)
    return True


def _make(call: OutsideCall, policy: Policy) -> None:
    if call.attempts > policy.attempts_most:
        raise TakenTooOften("TakenTooOften")
    policy.make(call)
    calls.settle(call)


def _put_off(call: OutsideCall, error: Transient) -> None:
    wait_s = DURING_AN_OUTAGE.wait_s(1)
    calls.retry(call, in_s=wait_s, error=str(error), counts=False)
    observe.record_call_put_off(call, error=str(error), wait_s=wait_s)


def _failed(call: OutsideCall, error: Exception, policy: Policy) -> None:
    # What else an error says may hold the address, which belongs neither into the row nor into the log.
    told = str(error) if isinstance(error, EventsError) else type(error).__name__
    if isinstance(error, Permanent) or call.attempts >= policy.attempts_most:
        calls.give_up(call, error=told)
        observe.record_call_given_up(call, error=told)
    else:
        wait_s = policy.after_a_failure.wait_s(call.attempts)
        calls.retry(call, in_s=wait_s, error=told, counts=True)
        observe.record_call_failed(call, error=told, wait_s=wait_s)
