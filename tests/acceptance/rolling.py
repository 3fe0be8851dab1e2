"""Two web processes behind a balancer, and their rolling restart as docs/keys.md has it."""

import os
import threading
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.acceptance.serving import serving
from tests.acceptance.web import Answer, Web
from tests.waiting import LIMIT_S

ASKED_BETWEEN = 5


class Balancer:
    """Gives each request to the next instance of those that are in."""

    def __init__(self) -> None:
        self._in = deque[Web]()
        self._under_way = Counter[int]()
        self._answered = Counter[int]()
        self._changed = threading.Condition()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        with self._changed:
            instance = self._in[0]
            self._in.rotate()
            self._under_way[instance.port] += 1
        try:
            return instance.call(method, path, body, **headers)
        finally:
            with self._changed:
                self._under_way[instance.port] -= 1
                self._answered[instance.port] += 1
                self._changed.notify_all()

    def take_in(self, instance: Web) -> None:
        with self._changed:
            self._in.append(instance)

    def wait_until_each_answered(self, times: int) -> None:
        """Return when each instance that is in has answered so often from now on."""
        with self._changed:
            before = self._answered.copy()
            ports = [instance.port for instance in self._in]
            assert self._changed.wait_for(
                lambda: all(self._answered[port] - before[port] >= times for port in ports), LIMIT_S
            )

    def take_out(self, instance: Web) -> None:
        """Return when nothing is under way to it."""
        with self._changed:
            self._in.remove(instance)
            assert self._changed.wait_for(lambda: not self._under_way[instance.port], LIMIT_S)


class Fleet:
    """Two instances over one database, alike in their settings."""

    def __init__(self, logs: Path, settings: dict[str, str], ending: ThreadPoolExecutor) -> None:
        self.balancer = Balancer()
        self.instances: list[Web] = []
        self._settings = {"SECRET_KEY": os.urandom(32).hex(), **settings}
        self._logs, self._ending = logs, ending
        self._ends = deque[ExitStack]()
        self._ended: list[Future[None]] = []

    @classmethod
    @contextmanager
    def running(cls, logs: Path, **settings: str) -> Iterator["Fleet"]:
        """From their start to their end."""
        with ThreadPoolExecutor() as ending:
            fleet = cls(logs, settings, ending)
            try:
                for _ in range(2):
                    fleet._start()
                yield fleet
            finally:
                while fleet._ends:
                    fleet._stop()
                for ended in fleet._ended:
                    ended.result()

    def restart(self, **settings: str) -> None:
        """One after the other: out of the balancer, stopped, started with the new settings, ready, in again.

        After each, both are asked for a while: the first has the new settings then, and the second the old ones.
        """
        self._settings |= settings
        for instance in list(self.instances):
            self.balancer.take_out(instance)
            self.instances.remove(instance)
            self._stop()
            self._start()
            self.balancer.wait_until_each_answered(ASKED_BETWEEN)

    def _stop(self) -> None:
        """The oldest one's end, which is not waited for: nobody asks it any more."""
        self._ended.append(self._ending.submit(self._ends.popleft().close))

    def _start(self) -> None:
        end = ExitStack()
        instance = end.enter_context(serving(self._logs / "log", **self._settings))
        self._ends.append(end)
        self.instances.append(instance)
        self.balancer.take_in(instance)
