"""schemathesis asks a live web process all that docs/openapi.json tells: for the suite, and longer for `make fuzz`.

`schemathesis.toml` says what counts as a finding, `contract_hooks` who asks.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack.places import CHECKOUT

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
# What a web process needs beside its usual settings: who asks is not to grow old meanwhile.
SETTINGS = {"ACCESS_TTL_S": "86400", "REAUTH_WITHIN_S": "86400"}
# Only a mailed link leads to a success; those have tests of their own.
BY_LINK = {"verify_email", "confirm_email_change", "undo_email_change", "confirm_password_reset"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of it: `told` for people; `answers` has, by operation, status and code, how many there were."""

    found_nothing: bool
    told: str
    answers: Mapping[tuple[str, str, str], int]

    @property
    def operations(self) -> set[str]:
        return {operation for operation, *_ in self.answers}

    @property
    def summary(self) -> str:
        """The end of what was told: operations, phases, findings, warnings, cases and the seed."""
        return self.told.partition(" SUMMARY ")[2].partition("\n")[2].strip()

    def count(self, operation: str, statuses: str) -> int:
        """Of answers whose status begins like this."""
        return sum(
            times for (of, status, _), times in self.answers.items() if of == operation and status.startswith(statuses)
        )


def ask(port: int, *, chief: tuple[str, str], seed: int, examples: int, folder: Path) -> Asked:
    """Everything, as anyone, as users and as the superuser `chief` (name and password).

    Of an operation's every kind of request `examples` are made up, beside those that are for its edges.
    """
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIGURATION), "--no-color",
        "run", str(CHECKOUT / "docs/openapi.json"), "--url", f"http://localhost:{port}",
        "--seed", str(seed), "--max-examples", str(examples),
    ]  # fmt: skip
    counts = folder / "answers.json"
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | {
        "PYTHONPATH": str(CHECKOUT),
        "SCHEMATHESIS_HOOKS": "tests.acceptance.contract_hooks",
        "CONTRACT_URL": f"http://localhost:{port}",
        "CONTRACT_STAFF": chief[0],
        "CONTRACT_PASSWORD": chief[1],
        "CONTRACT_ANSWERS": str(counts),
    }
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    answers = json.loads(counts.read_text()) if counts.exists() else {}
    told = done.stdout + done.stderr
    return Asked(done.returncode == 0, told, {(*key.split("/"),): times for key, times in answers.items()})
