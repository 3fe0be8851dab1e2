"""The trace that follows a change from request to mail, as W3C Trace Context.

Set by whoever begins or goes on with a piece of work (the web middleware, the consumer, a task); read by
`publish`, which stores it in the record, and by the log, which writes `trace_id` in every line.
Source: https://www.w3.org/TR/trace-context/.
"""

import re
import secrets
from contextvars import ContextVar, Token

_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def is_valid(traceparent: str) -> bool:
    """Version 00, lower-case hex, neither id all zeros."""
    return _FORM.fullmatch(traceparent) is not None


def new_traceparent() -> str:
    """A trace of its own, sampled."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def current_traceparent() -> str:
    """The trace of the work in hand; outside any, a new one for this call alone."""
    return _current.get() or new_traceparent()


def current_trace_id() -> str | None:
    """The 32 hex digits that the log shows, or None outside any traced work."""
    traceparent = _current.get()
    return traceparent[3:35] if traceparent else None


class following:  # noqa: N801 - reads as a verb: `with following(…)`; a class costs a third of a generator
    """Work under this trace, which the block gets; under a new one when it is missing or not valid."""

    __slots__ = ("_token", "_trace")
    _token: Token[str | None]

    def __init__(self, traceparent: str | None) -> None:
        self._trace = traceparent if traceparent and is_valid(traceparent) else new_traceparent()

    def __enter__(self) -> str:
        self._token = _current.set(self._trace)
        return self._trace

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
