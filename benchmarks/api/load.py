"""Asks as fast as it is answered, over many kept connections, from one loop: `python -m benchmarks.api.load FILE`.

A process of its own, so that what it takes can be told from what the server takes. FILE holds a `Plan`; prints what it
`Found`; both as JSON. Before comes a while that is not measured, and after it the answers that are still on their way.
"""

import json
import selectors
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import asdict
from itertools import count
from pathlib import Path

from benchmarks.api.plan import NUMBER, REFRESH_TOKEN, Found, Plan
from benchmarks.frame.http import Connection, status_of

_TOKEN_MEMBER = b'"refresh_token":"'
_UNAVAILABLE = 503


class Caller:
    """One connection, and what it asks."""

    def __init__(self, plan: Plan, place: int, numbers: "count[int]") -> None:
        self.connection = Connection(plan.port)
        self.sent_at = 0.0
        self._template = plan.requests[place].encode()
        self._numbers = numbers if NUMBER in plan.requests[place] else None
        self._token = plan.tokens[place].encode() if plan.tokens else b""

    def ask(self) -> None:
        """Send the next request."""
        content = self._template
        if self._numbers:
            content = content.replace(NUMBER.encode(), b"%08d" % next(self._numbers))
        elif self._token:
            content = content.replace(REFRESH_TOKEN.encode(), self._token)
        self.sent_at = time.perf_counter()
        self.connection.send(content)

    def answered(self) -> bytes | None:
        """The answer, once it is whole."""
        answer = self.connection.receive()
        if answer and self._token and _TOKEN_MEMBER in answer:
            begins = answer.index(_TOKEN_MEMBER) + len(_TOKEN_MEMBER)
            self._token = answer[begins : begins + len(REFRESH_TOKEN)]
        return answer


class Load:
    """All connections at once."""

    def __init__(self, plan: Plan, callers: list[Caller]) -> None:
        self.unavailable = 0
        self._expect = plan.expect
        self._waiting = len(callers)
        self._selector = selectors.DefaultSelector()
        for caller in callers:
            self._selector.register(caller.connection.socket, selectors.EVENT_READ, caller)
            caller.ask()

    def go_on(self, seconds: float) -> list[float]:
        """Ask for so long; gives the milliseconds of each answer that came.

        Raises ValueError for one that is neither what is expected nor a 503, of which there may be some.
        """
        until, took = time.perf_counter() + seconds, []
        while (left := until - time.perf_counter()) > 0:
            for caller in self._answered(left):
                took.append((time.perf_counter() - caller.sent_at) * 1000)
                caller.ask()
        return took

    def finish(self) -> None:
        """Wait for what was asked: the server is idle then."""
        while self._waiting:
            self._waiting -= len(self._answered(None))

    def _answered(self, within_s: float | None) -> list[Caller]:
        ready = [key.data for key, _ in self._selector.select(within_s)]
        return [caller for caller in ready if self._checked(caller.answered())]

    def _checked(self, answer: bytes | None) -> bool:
        if answer is None:
            return False
        status = status_of(answer)
        if status == _UNAVAILABLE:
            self.unavailable += 1
        elif status != self._expect:
            raise ValueError(answer.decode())
        return True


def main(file: str) -> None:
    """Ask, then print."""
    plan = Plan(**json.loads(Path(file).read_text()))
    numbers = count()
    with ExitStack() as until_the_end:
        callers = [Caller(plan, place, numbers) for place in range(len(plan.requests))]
        for caller in callers:
            until_the_end.enter_context(closing(caller.connection))
        load = Load(plan, callers)
        load.go_on(plan.warm_s)
        began, before = time.process_time(), load.unavailable
        took = load.go_on(plan.seconds)
        ended, unavailable = time.process_time(), load.unavailable - before
        load.finish()
    json.dump(asdict(Found(took_ms=took, unavailable=unavailable, cpu_seconds=ended - began)), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
