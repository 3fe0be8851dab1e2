"""The runner of the application's processes: what it shows, and that nothing outlives it."""

import io
import os
import signal
import subprocess
import sys

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from devstack.places import CHECKOUT
from devstack.processes import ProcessDied, Processes
from tests.waiting import wait_for

_WAIT = "import signal; signal.pause()"
# Says its name at its end; has a child that would outlive it.
_POLITE = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
signal.signal(signal.SIGTERM, lambda *_: (print("bye", flush=True), sys.exit(0)))
print("child", child.pid, flush=True)
signal.pause()
"""
_RUNNER = f"""
import os, sys
from devstack.processes import Processes
with Processes(out=sys.stdout) as processes:
    processes.start("stubborn", ["{sys.executable}", "-c", {_POLITE!r}], env=os.environ)
    processes.wait()
"""


def _python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def _child_in(output: str) -> int:
    return int(output.partition("child ")[2].split(maxsplit=1)[0])


def test_lines_are_headed_by_the_name_and_the_end_comes_in_reverse_order() -> None:
    out = io.StringIO()
    with Processes(out=out) as processes:
        processes.start("first", _python(_POLITE), env=os.environ)
        processes.start("second", _python(_POLITE), env=os.environ)
        wait_for(lambda: out.getvalue().count("child") == 2)
    lines = out.getvalue().splitlines()
    assert all(line.startswith(("first    │ ", "second   │ ")) for line in lines)
    assert [line for line in lines if line.endswith("bye")] == ["second   │ bye", "first    │ bye"]


def test_no_grandchild_is_left() -> None:
    out = io.StringIO()
    with Processes(out=out) as processes:
        processes.start("parent", _python(_POLITE), env=os.environ)
        wait_for(lambda: "child" in out.getvalue())
        assert psutil.pid_exists(_child_in(out.getvalue()))
    wait_for(lambda: not psutil.pid_exists(_child_in(out.getvalue())))


def test_the_first_to_die_is_named_with_its_last_lines() -> None:
    with Processes(out=io.StringIO()) as processes:
        processes.start("steady", _python(_WAIT), env=os.environ)
        processes.check()
        processes.start("faulty", _python("print('almost'); print('oh no'); raise SystemExit(3)"), env=os.environ)
        with pytest.raises(ProcessDied) as died:
            processes.wait()
    assert str(died.value) == "faulty ended with exit code 3; its last lines:\n    almost\n    oh no"


def test_a_killed_process_is_told_from_one_that_ended() -> None:
    with Processes(out=io.StringIO()) as processes:
        processes.start("victim", _python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), env=os.environ)
        with pytest.raises(ProcessDied, match="victim was killed by signal 9"):
            processes.wait()


def test_the_processes_end_when_the_runner_is_killed() -> None:
    with subprocess.Popen(_python(_RUNNER), cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        grandchild = psutil.Process(_child_in(runner.stdout.readline()))
        (process,) = [child for child in psutil.Process(runner.pid).children() if "pause" in child.cmdline()[-1]]
        runner.send_signal(signal.SIGKILL)
        wait_for(lambda: not process.is_running())
        grandchild.kill()  # which no signal reaches when the runner is killed
