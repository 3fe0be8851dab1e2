"""What the tests of the embedded stack share: names and a look at a stack from outside."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # ships no types

from devstack.client import Line
from devstack.places import CHECKOUT, Places


def own_name(purpose: str) -> str:
    """A stack name of this run alone."""
    return f"test-{purpose}-{os.getpid()}"


def run_devstack(*arguments: str, checkout: Path = CHECKOUT, **env: str) -> subprocess.CompletedProcess[str]:
    """`python -m devstack …`, as if nothing had told it of any address."""
    own = {name: value for name, value in os.environ.items() if name not in {"KAFKA_BROKERS", "DATABASE_URL"}}
    command = [sys.executable, "-m", "devstack", *arguments]
    return subprocess.run(
        command, cwd=checkout, env=own | env, capture_output=True, text=True, check=False, timeout=120
    )


def parts_of(name: str) -> dict[str, Any]:
    """What the supervisor says of its parts."""
    line = Line.to(Places(name))
    assert line is not None
    answer = line.ask("status")
    line.close()
    assert answer is not None
    return dict(answer["parts"])


def pids_of(name: str) -> list[int]:
    """The supervisor's process id, then its parts'."""
    control = json.loads(Places(name).control.read_text())
    return [control["pid"], *(part["pid"] for part in parts_of(name).values())]


def all_gone(pids: list[int]) -> bool:
    """Whether none of these processes is left."""
    return not any(map(psutil.pid_exists, pids))
