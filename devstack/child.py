"""One process of the runner: its output read line by line, its end noticed. `processes` keeps a list of these."""

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from devstack.bound import bound
from devstack.places import CHECKOUT

_STOP_LIMIT_S = 25.0
_READ_LIMIT_S = 2.0
_KEPT_LINES = 20


class Child:
    """Runs from its making on. `print_line` gets each line of output; `ended` is called once it is gone."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        print_line: Callable[[str], None],
        ended: Callable[[Self], None],
    ) -> None:
        self._name = name
        self._print_line = print_line
        self._last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._process = subprocess.Popen(
            bound(argv, signal.SIGTERM), cwd=CHECKOUT, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        threading.Thread(target=self._watch, args=(ended,), daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id, and that of its group."""
        return self._process.pid

    def stop(self) -> None:
        """Ask it to end, and wait for that a limited time."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._print_line(f"has not ended in {_STOP_LIMIT_S:.0f} s and is killed")

    def kill(self) -> None:
        """End it and whatever is left of its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(_READ_LIMIT_S)

    def obituary(self) -> str:
        """How it went, and its last lines."""
        code = self._process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        # What it wrote last may still be on its way.
        self._reader.join(_READ_LIMIT_S)
        return "\n".join([f"{self._name} {how}; its last lines:", *(f"    {line}" for line in self._last_lines)])

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  # for the type checker: PIPE was asked for
        with self._process.stdout as lines:
            for line in lines:
                self._last_lines.append(line.rstrip("\n"))
                self._print_line(self._last_lines[-1])

    def _watch(self, ended: Callable[[Self], None]) -> None:
        self._process.wait()
        ended(self)
