"""Every log line of this app; the rest of it calls the functions here. Lines carry ids, never addresses or names."""

import logging
from typing import Any
from uuid import UUID

from prometheus_client import Counter

from accounts.models import LoginRecord, OutsideCall
from events.wordless import wordless

_SUPPRESSED = Counter("mail_suppressed_total", "Mails that were asked for and not owed, being over a quota.", ["kind"])
_LIMITED = Counter("rate_limited_total", "Requests that were refused, being over a quota.", ["quota"])

_log = logging.getLogger("accounts")
_cache = {"away": False}


def record_mail_sent(call: OutsideCall, *, ms: float) -> None:
    """The mail server has accepted the mail; `ms` from reading the user to its answer."""
    _write_call(logging.INFO, "mail sent", call, ms=round(ms, 3))


def record_webhook_answered(call: OutsideCall, *, status: int, ms: float) -> None:
    """A receiver has answered, with whatever status; `ms` from resolving its name to that."""
    _write_call(logging.INFO, "webhook answered", call, status=status, ms=round(ms, 3))


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


def record_queue_away(*, row_id: UUID, error: str, quiet_s: float) -> None:
    """No worker could be told; nobody is for `quiet_s`, and the sweep brings the rows."""
    _log.warning("task queue away", extra={"row_id": str(row_id), "error": error, "quiet_s": quiet_s})


def record_request_failed(error: Exception, *, code: str) -> None:
    """A request was answered with 500 or 503."""
    _log.error("request failed", extra={"code": code, **wordless(error)})


def record_not_erased(error: Exception, *, user_id: UUID) -> None:
    """House-keeping could not erase this user; it tries again."""
    _log.error("not erased", extra={"user_id": str(user_id), **wordless(error)})


def record_token_refused(*, reason: str) -> None:
    """A bearer token was not one of ours."""
    _log.warning("token refused", extra={"reason": reason})


def record_sign_in_failed(record: LoginRecord) -> None:
    """Somebody could not sign in; the name that was typed is told by its keyed hash alone."""
    told = {
        "reason": str(record.reason),
        "identifier_hash": record.identifier_hash,
        "user_id": str(record.user_id or ""),
    }
    _log.warning("sign-in failed", extra=told)


def record_rate_limited(*, quota: str) -> None:
    """Somebody was refused unseen."""
    _LIMITED.labels(quota).inc()
    _log.warning("rate limited", extra={"quota": quota})


def record_mail_suppressed(*, kind: str, quota: str) -> None:
    """A mail that a stranger asked for is not owed: too many of its kind are already."""
    _SUPPRESSED.labels(kind).inc()
    _log.warning("mail suppressed", extra={"kind": kind, "quota": quota})


def record_refresh_token_reused(*, session_id: UUID) -> None:
    """A spent refresh token came again; its session has ended."""
    _log.warning("refresh token reused", extra={"session_id": str(session_id)})


def record_cache(*, away: bool, error: Exception | None = None) -> None:
    """The cache answered or did not; told when that changes."""
    if away == _cache["away"]:
        return
    _cache["away"] = away
    if away:
        _log.warning("cache away", extra={"error": type(error).__name__})
    else:
        _log.info("cache back")


def _write_call(level: int, event: str, call: OutsideCall, **fields: Any) -> None:
    told = {"call_id": str(call.id), "kind": call.kind, "key": call.key, "attempts": call.attempts, **fields}
    if host := call.facts.get("host"):
        told["host"] = host
    _log.log(level, event, extra=told)
