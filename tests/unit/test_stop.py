"""The first signal asks, the second one ends the process, and so does a stop that takes too long."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from events.stop import Stop, stop_on_signals

# Says "ready", then works until asked; "asked" is said when the work in hand is done.
PROGRAM = """
import sys, time
from events.stop import stop_on_signals
with stop_on_signals(float(sys.argv[1])) as stop:
    print("ready", flush=True)
    while not stop.wait(10):
        pass
    print("asked", flush=True)
    time.sleep(float(sys.argv[2]))
print("done", flush=True)
"""


@pytest.fixture
def started(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Told by the test: seconds to stop within, seconds that the work in hand takes."""
    command = [sys.executable, "-c", PROGRAM, *map(str, request.param)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.mark.parametrize("started", [(30, 0)], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_lets_the_work_end(started: subprocess.Popen[str], number: signal.Signals) -> None:
    assert line(started) == "ready"
    started.send_signal(number)
    assert line(started) == "asked"
    assert line(started) == "done"
    assert started.wait(10) == 0


@pytest.mark.parametrize("started", [(30, 30)], indirect=True)
def test_a_second_signal_ends_it_at_once(started: subprocess.Popen[str]) -> None:
    assert line(started) == "ready"
    started.send_signal(signal.SIGTERM)
    assert line(started) == "asked"
    started.send_signal(signal.SIGINT)
    assert started.wait(5) == 1


@pytest.mark.parametrize("started", [(0.2, 30)], indirect=True)
def test_a_stop_that_takes_too_long_is_cut_short(started: subprocess.Popen[str]) -> None:
    assert line(started) == "ready"
    started.send_signal(signal.SIGTERM)
    assert started.wait(5) == 1


def test_the_signals_mean_what_they_meant_before() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stop_on_signals(30) as stop:
        assert signal.getsignal(signal.SIGTERM) != before[0]
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.is_asked
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_waiting_for_a_stop_ends_when_it_is_asked() -> None:
    stop = Stop()
    assert stop.wait(0) is False
    stop.ask()
    stop.ask()
    began = time.monotonic()
    assert stop.wait(30) is True
    assert time.monotonic() - began < 1
