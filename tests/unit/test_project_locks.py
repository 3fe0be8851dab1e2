"""The locks agree with each other and with pyproject.toml, and say nothing of the machine that made them."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
DEV = RUNTIME + PROJECT["dependency-groups"]["dev"]
LOCKS = {"requirements.txt": RUNTIME, "requirements-dev.txt": DEV, "requirements-next.txt": DEV}


def pins(lock: str) -> set[str]:
    """The lock's `name==version` with its marker, without hashes."""
    return set(re.findall(r"^[a-z0-9].*?==[^\\]*[^\\ ]", (ROOT / lock).read_text(), flags=re.MULTILINE))


def versions(lock: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for pin in pins(lock):
        name, _, rest = pin.partition("==")
        found.setdefault(name, set()).add(rest.split(" ")[0])
    return found


def test_tests_run_what_the_runtime_lock_pins() -> None:
    assert len(pins("requirements.txt")) > 30
    assert pins("requirements.txt") <= pins("requirements-dev.txt")


def test_the_runtime_stays_on_the_lts_and_the_next_lock_does_not() -> None:
    (lts,) = versions("requirements.txt")["django"]
    (newest,) = versions("requirements-next.txt")["django"]
    assert Version(lts).release[:2] == (5, 2)
    assert Version(newest) >= Version("6.0")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address_and_no_path(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"://|file:|^-|^ *--(?!hash=sha256:[0-9a-f]{64})| @ |/", text, flags=re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_all_that_pyproject_asks_for(lock: str) -> None:
    pinned = versions(lock)
    for requirement in map(Requirement, LOCKS[lock]):
        (version,) = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), requirement
