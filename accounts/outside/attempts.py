"""One attempt at a call that is owed, and what comes of it. Run by `accounts.tasks` in a worker.

An outage is nobody's fault: while the mail server is away no call burns an attempt. Only an answer about this very
call counts against it, until it is given up.
"""

import time
from uuid import UUID

from accounts import observe
from accounts.models import OutsideCall
from accounts.outside import calls, mail
from events.backoff import Backoff
from events.errors import EventsError, Permanent, Transient
from events.trace import following

# Ten attempts take about three hours: long enough for greylisting and a full mailbox to pass.
ATTEMPTS_MOST = 10
AFTER_A_FAILURE = Backoff(first_s=30, most_s=3600)
DURING_AN_OUTAGE = Backoff(first_s=10, most_s=10)
# A sweep ends before the next one begins.
SWEEP_S = 8.0


class TakenTooOften(Permanent):
    """Each taker of this call died before it could settle it."""


def attempt_one(call_id: UUID) -> None:
    """Make this call, if it is due and nobody else has it."""
    call = calls.take(call_id)
    if call:
        _attempt(call)


def sweep() -> None:
    """Make the calls that are due, one after the other, for some seconds or until the outside is away."""
    end = time.monotonic() + SWEEP_S
    while time.monotonic() < end and (call := calls.take()) and _attempt(call):
        pass


def _attempt(call: OutsideCall) -> bool:
    """Make the call and settle it; gives False when the outside is away."""
    with following(call.traceparent):
        try:
            _make(call)
        except mail.NobodyToTell as reason:
            calls.settle(call, skipped=str(reason))
            observe.record_call_skipped(call, reason=str(reason))
        except Transient as error:
            _put_off(call, error)
            return False
        except Exception as error:  # noqa: BLE001 - the task's border: whatever it is, the call must be settled
            _failed(call, error)
    return True


def _make(call: OutsideCall) -> None:
    if call.attempts > ATTEMPTS_MOST:
        raise TakenTooOften("TakenTooOften")
    began = time.monotonic()
    mail.send(call)
    observe.record_mail_sent(call, ms=(time.monotonic() - began) * 1000)
    calls.settle(call)


def _put_off(call: OutsideCall, error: Transient) -> None:
    wait_s = DURING_AN_OUTAGE.wait_s(1)
    calls.retry(call, in_s=wait_s, error=str(error), counts=False)
    observe.record_call_put_off(call, error=str(error), wait_s=wait_s)


def _failed(call: OutsideCall, error: Exception) -> None:
    # What else an error says may hold the address, which belongs neither into the row nor into the log.
    told = str(error) if isinstance(error, EventsError) else type(error).__name__
    if isinstance(error, Permanent) or call.attempts >= ATTEMPTS_MOST:
        calls.give_up(call, error=told)
        observe.record_call_given_up(call, error=told)
    else:
        wait_s = AFTER_A_FAILURE.wait_s(call.attempts)
        calls.retry(call, in_s=wait_s, error=told, counts=True)
        observe.record_call_failed(call, error=told, wait_s=wait_s)
