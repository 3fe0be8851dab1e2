"""Every log line of this app; the rest of it calls the functions here. Lines carry ids, never addresses or names."""

import logging
from typing import Any
from uuid import UUID

from accounts.models import OutsideCall

_log = logging.getLogger("accounts")


def record_mail_sent(call: OutsideCall, *, ms: float) -> None:
    """The mail server has accepted the mail; `ms` from reading the user to its answer."""
    _write_call(logging.INFO, "mail sent", call, ms=round(ms, 3))


def record_call_skipped(call: OutsideCall, *, reason: str) -> None:
    """Nothing is owed any more."""
    _write_call(logging.INFO, "outside call skipped", call, reason=reason)


def record_call_put_off(call: OutsideCall, *, error: str, wait_s: float) -> None:
    """The other side is away; no attempt is burnt."""
    _write_call(logging.WARNING, "outside call put off", call, error=error, wait_s=round(wait_s, 3))


def record_call_failed(call: OutsideCall, *, error: str, wait_s: float) -> None:
    """An attempt failed; the next one comes after `wait_s`."""
    _write_call(logging.WARNING, "outside call failed", call, error=error, wait_s=round(wait_s, 3))


def record_call_given_up(call: OutsideCall, *, error: str) -> None:
    """The call will not be made."""
    _write_call(logging.ERROR, "outside call given up", call, error=error)


def record_queue_away(*, call_id: UUID, error: str, quiet_s: float) -> None:
    """No worker could be told; nobody is for `quiet_s`, and the sweep brings the calls."""
    _log.warning("task queue away", extra={"call_id": str(call_id), "error": error, "quiet_s": quiet_s})


def _write_call(level: int, event: str, call: OutsideCall, **fields: Any) -> None:
    told = {"call_id": str(call.id), "kind": call.kind, "key": call.key, "attempts": call.attempts, **fields}
    _log.log(level, event, extra=told)
