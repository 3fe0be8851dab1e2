"""Become a program that ends when its parent does: `python bound.py PARENT SIGNAL PROGRAM ARGUMENT...`.

Stands between a starter (supervisor or process runner) and the program, in place of a hook between fork and exec,
which is unsafe in a process with threads. Linux alone knows the request; elsewhere the watchdog does the work.
Runs isolated (`-I -S`), so it imports nothing of ours.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def bound(argv: Sequence[str], number: signal.Signals) -> list[str]:
    """The command that becomes `argv` and gets `number` when this process ends.

    To be started from a thread that lives as long as the process: the kernel watches the thread.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(number.value), *argv]


def main() -> None:
    """Ask for the signal, then become the program."""
    parent, number, *program = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    # The parent may have died before the request.
    if os.getppid() == int(parent):
        os.execvp(program[0], program)  # noqa: S606  # no shell is the point


if __name__ == "__main__":
    main()
