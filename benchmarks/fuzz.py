"""A stranger asks for minutes all that docs/openapi.json tells, and more than that: `make fuzz`.

`python -m benchmarks fuzz [--quick] [--seed N] [--examples N]`, on parts of its own: the suite's run of schemathesis
(`tests.acceptance.contract`) with another seed and ten times the examples. Exit code 1 when anything was found.
"""

import argparse
import random
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.frame.ground import Ground, ground
from benchmarks.frame.web import serving_web
from benchmarks.report import Report
from tests.acceptance.contract import SETTINGS, Asked, ask

_EXAMPLES, _EXAMPLES_QUICK = 80, 8
_CHIEF = ("chief", "CANARY-pw-4711")
_ALL_AND_CLASSES = ("", "2", "4", "5")


def main(arguments: list[str]) -> int:
    """Ask and report; 1 when something was found. A quick run's table is not kept."""
    options = _parser().parse_args(arguments)
    examples = options.examples or (_EXAMPLES_QUICK if options.quick else _EXAMPLES)
    with (
        ground("benchmark-fuzz", topic="benchmark.fuzz", partitions=1) as here,
        tempfile.TemporaryDirectory() as folder,
    ):
        _make_chief(here)
        with serving_web(here, **SETTINGS) as port:
            found = ask(port, chief=_CHIEF, seed=options.seed, examples=examples, folder=Path(folder))
        _report(found, seed=options.seed, examples=examples).publish(
            name="fuzz", environ=here.environ, keep=not options.quick
        )
    if not found.found_nothing:
        print(found.told, file=sys.stderr)
    return 0 if found.found_nothing else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks fuzz")
    parser.add_argument("--quick", action="store_true", help="as few examples as the suite, in a minute and a half")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of what is made up")  # noqa: S311 - no secret
    parser.add_argument("--examples", type=int, help="of each operation's kinds of requests")
    return parser


def _make_chief(here: Ground) -> None:
    name, password = _CHIEF
    there = Ground(dict(here.environ) | {"DJANGO_SUPERUSER_PASSWORD": password}, here.brokers)
    there.run("manage.py", "createsuperuser", "--noinput", f"--username={name}", f"--email={name}@example.com")


def _report(found: Asked, *, seed: int, examples: int) -> Report:
    operations = sorted(found.operations)
    rows = [(operation, *(found.count(operation, first) for first in _ALL_AND_CLASSES)) for operation in operations]
    codes = sorted({code for *_, code in found.answers if code})
    return Report(
        title="Fuzzing",
        columns=("operation", "requests", "2xx", "4xx", "5xx"),
        rows=rows,
        figures={
            "requests": sum(found.answers.values()),
            "operations": len(operations),
            "codes": len(codes),
            "found_nothing": found.found_nothing,
            "seed": seed,
            "examples": examples,
        },
        notes=(
            f"schemathesis {version('schemathesis')}, all phases and checks, seed {seed}, {examples} examples: "
            + ("nothing was found." if found.found_nothing else "SOMETHING WAS FOUND."),
            f"Codes of refusals that came: {', '.join(codes)}.",
            f"```text\n{found.summary}\n```",
        ),
    )
