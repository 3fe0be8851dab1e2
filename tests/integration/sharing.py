"""Members that share the shards as a relay does, in this process or as one of their own.

`python -m tests.integration.sharing URL` is such a process: it tells each change of what it owns as a line of JSON.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from events.outbox.shards import Shards

LOOP_S = 0.005
ALL = frozenset(range(64))


class Member:
    """Its main loop, in a thread, moves and gives up whatever should leave: nothing is ever on its way here."""

    def __init__(self, url: str, *, most: int = 64) -> None:
        self.shards = Shards(url, most=most)
        self._is_over = threading.Event()
        self._loop = threading.Thread(target=self._move, name="member under test")

    def _move(self) -> None:
        while not self._is_over.wait(LOOP_S):
            self.shards.stamp()
            self.shards.release(self.shards.leaving)

    def join(self) -> None:
        self.shards.start()
        self._loop.start()

    def leave(self) -> None:
        self.stop_moving()
        self.shards.close()

    def stop_moving(self) -> None:
        """The main loop hangs; the beat's thread is not told."""
        self._is_over.set()
        if self._loop.is_alive():
            self._loop.join()


@contextmanager
def members(url: str, *caps: int) -> Iterator[list[Member]]:
    """One that has joined for each cap."""
    joined = [Member(url, most=most) for most in caps]
    try:
        for member in joined:
            member.join()
        yield joined
    finally:
        for member in joined:
            member.leave()


def owned(*members: Member) -> list[int]:
    """How many each owns, the fewest first."""
    return sorted(len(member.shards.owned) for member in members)


class MemberProcess:
    """The same in a process, with what it said, in order."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.sharing", url],
            stdout=subprocess.PIPE, text=True, env=os.environ | {"DJANGO_SETTINGS_MODULE": "usercenter.settings"},
        )  # fmt: skip
        self.said: list[dict[str, Any]] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def owns(self, shards: int) -> bool:
        return bool(self.said) and self.said[-1]["owned"] == shards

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.join()
        assert self.process.stdout
        self.process.stdout.close()


@contextmanager
def member_process(url: str) -> Iterator[MemberProcess]:
    process = MemberProcess(url)
    try:
        yield process
    finally:
        process.end()


def _tell(shards: Shards) -> Callable[[], None]:
    said: dict[str, Any] = {}

    def tell() -> None:
        # In this order, as the relay looks before it sends.
        now = {"is_fresh": shards.is_fresh, "owned": len(shards.owned), "epoch": shards.epoch}
        if now != said:
            said.update(now)
            sys.stdout.write(json.dumps(now) + "\n")
            sys.stdout.flush()

    return tell


def main(url: str) -> None:
    shards = Shards(url)
    shards.start()
    tell, never = _tell(shards), threading.Event()
    while not never.wait(LOOP_S):
        tell()
        shards.stamp()
        shards.release(shards.leaving)


if __name__ == "__main__":
    main(sys.argv[1])
