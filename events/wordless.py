"""An error as the log may have it: its class, what it came of and the places in the code, but no word of a message.

A message may quote an event's data, or a row ("Failing row contains …"), and no erasure reaches a log. `observe` writes
it; the parked delivery keeps the whole text, where an erasure finds it. `WordlessFilter` does the same to what others
log, for a project that names it in its LOGGING.
"""

import logging
import traceback
from collections.abc import Iterator, Mapping
from typing import Any


def wordless(error: BaseException) -> dict[str, str]:
    """Fields of a log line. `cause` and `stack` go from the error to what it came of."""
    chain = list(_chain(error))
    places = (f"{type(one).__name__}\n" + "".join(traceback.format_tb(one.__traceback__)) for one in chain)
    return {
        "error": type(error).__name__,
        "cause": ", ".join(type(one).__name__ for one in chain[1:]),
        "stack": "".join(places),
    }


def _chain(error: BaseException) -> Iterator[BaseException]:
    """It, what it gathers and what these came of, as Python would show them; each once."""
    seen, waiting = set(), [error]
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        came_of = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        waiting += [came_of] if came_of else ()


class WordlessFilter(logging.Filter):
    """Takes the message of an error out of whatever line has it, as Django's and Celery's have."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        # Django's, with the query.
        record.__dict__.pop("request", None)
        error = record.exc_info[1] if record.exc_info else None
        if error:
            told = wordless(error)
            # Formatters put this where the traceback was.
            record.exc_info, record.exc_text = None, told.pop("stack")
            [record.msg] = _without_words([record.msg], error)
            record.args = _without_words(record.args, error)
            # Celery's context, with all of it once more.
            record.__dict__.pop("data", None)
            record.__dict__.update(told)
        return True


def _without_words(args: Any, error: BaseException) -> Any:
    """What a line is made of; Celery has an error's text as `exc`, others the error itself or its text."""
    name = type(error).__name__
    if isinstance(args, Mapping):
        return {key: name if key in ("exc", "traceback") else value for key, value in args.items()}
    return tuple(name if isinstance(one, BaseException) or one == str(error) else one for one in args or ())
