"""An error as the log may have it: its class, what it came of and the places in the code, but no word of a message.

A message may quote an event's data, or a row ("Failing row contains …"), and no erasure reaches a log. `observe` writes
it; the parked delivery keeps the whole text, where an erasure finds it.
"""

import traceback
from collections.abc import Iterator


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
    """As Python would show it, each once."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
