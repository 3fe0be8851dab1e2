"""Stacks for the tests of the embedded stack itself; no other test may use parts that are killed here."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from devstack import Stack, stack
from devstack.places import CHECKOUT, Places
from tests.integration.devstack.stacks import own_name

_HOLDER = """
import sys
from devstack import stack
with stack(sys.argv[1], fresh=True, given={}):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="package")
def one() -> Iterator[Stack]:
    """A stack of this folder's own: its parts may be killed."""
    with stack(own_name("one"), fresh=True, given={}) as own:
        yield own


@pytest.fixture
def kept() -> Iterator[Places]:
    """The places of a stack that outlasts its holders, removed after the test."""
    places = Places(own_name("kept"))
    yield places
    shutil.rmtree(places.folder)
    places.lock.unlink()
    places.supervisor_log.unlink()


@pytest.fixture
def holder() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts processes that hold a fresh stack until they are killed."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _HOLDER, name]
        process = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
