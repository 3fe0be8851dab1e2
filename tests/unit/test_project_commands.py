"""What a person types: the Makefile's own list is whole, set-up refuses what cannot work, and `.ci/run` runs all."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    # As a person would: not as a part of the `make test` that runs this.
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        command, cwd=cwd, env=mine | environment, capture_output=True, text=True, check=False, timeout=60
    )


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_make_alone_lists_every_target_with_what_it_does() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    listed = re.findall(r"^make (\S+) +\S.*$", run("make").stdout, flags=re.MULTILINE)
    assert sorted(listed) == sorted(phony.split())


def test_every_target_sets_up_first() -> None:
    targets = re.findall(r"^([a-z]+):(.*) ## ", MAKEFILE, flags=re.MULTILINE)
    assert len(targets) > 7
    assert [name for name, needs in targets if name not in {"help", "setup"} and needs.strip() != "setup"] == []


def test_set_up_refuses_an_older_python_by_name(tmp_path: Path) -> None:
    old = script(tmp_path / "old", 'case "$1" in -c) exit 1;; *) echo Python 3.10.1;; esac')
    for name in ("Makefile", "requirements-dev.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    refused = run("make", "setup", f"PYTHON={old}", cwd=tmp_path)
    assert refused.returncode != 0
    assert f"Python 3.11 or newer is needed; '{old}' is Python 3.10.1" in refused.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_next_suite_says_that_it_was_not_run_where_no_newer_python_is(tmp_path: Path) -> None:
    told = run("/usr/bin/env", "make", "test-next", PATH=only(tmp_path, "make", "sh"), HOME=str(tmp_path))
    assert (told.returncode, told.stdout.count("\n")) == (0, 1)
    assert told.stdout.startswith("test-next was not run: ")


def only(folder: Path, *names: str) -> str:
    """A PATH that has these programs alone."""
    for name in names:
        (folder / name).symlink_to(run("sh", "-c", f"command -v {name}").stdout.strip())
    return str(folder)


@pytest.mark.parametrize(("fails", "ran"), [("none", ["lint", "test", "test-next"]), ("lint", ["lint"])])
def test_ci_runs_lint_then_the_readmes_test_command_then_the_next_suite(
    tmp_path: Path, fails: str, ran: list[str]
) -> None:
    script(tmp_path / "make", f'echo "ran $1"; [ "$1" != {fails} ]')
    told = run("bash", ".ci/run", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert re.findall(r"^ran (\S+)$", told.stdout, flags=re.MULTILINE) == ran
    assert (told.returncode == 0) is (fails == "none")
