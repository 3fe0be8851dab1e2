"""`python -m security.audit LOCK…`: no pin with a known hole, no line without a hash.

Two ways, and the last line says which of them ran: our own floors (always), and pip-audit's
source of advisories (where it answers). Before: `make lock`. After: nothing; `make lint` ends here.
"""

import argparse
import datetime as dt
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from security.floors import Floors, LockError, Pin, read_floors, read_lock

FLOORS = Path(__file__).with_name("floors.toml")
CONNECT_WITHIN_S = 10
AUDIT_WITHIN_S = 300
# pip-audit exits with 1 for a hole and for a failed request alike; these name a failed request.
NO_ANSWER = re.compile(
    r"requests\.exceptions\.(ConnectionError|\w*Timeout|SSLError|ProxyError|HTTPError)|Could not connect to"
)


@dataclass(frozen=True, slots=True)
class Answered:
    """What the source said, a member for each package: `vulns`, or a `skip_reason`."""

    dependencies: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The source could not be asked: the floors stand alone."""

    reason: str


def main(argv: list[str] | None = None) -> int:
    """Audit the locks; 0 when nothing is wrong in them."""
    options = _parser().parse_args(argv)
    floors = read_floors(FLOORS)
    try:
        locks = {lock: read_lock(lock) for lock in options.locks}
    except LockError as error:
        return _report([str(error)])
    problems = floors.expired(today=dt.datetime.now(tz=dt.UTC).date()) + floors.below(_all_pins(locks))
    answer = ask_about(options.locks, osv_url=options.osv_url)
    problems += holes(answer, floors)
    print(f"audit: {_floors_line(floors, locks)}; {_answer_line(answer)}")
    return _report(problems)


def ask_about(locks: list[Path], *, osv_url: str | None) -> Answered | Unanswered:
    """All that the source says of these locks; it is not asked again once it did not answer."""
    dependencies: list[dict[str, Any]] = []
    for lock in locks:
        answer = ask_pip_audit(lock, osv_url=osv_url)
        if isinstance(answer, Unanswered):
            return answer
        dependencies += answer.dependencies
    return Answered(dependencies)


def ask_pip_audit(lock: Path, *, osv_url: str | None) -> Answered | Unanswered:
    """Have pip-audit ask its source about each pin. Raises RuntimeError when pip-audit itself fails."""
    # Not --strict: it ends at the first package that the source does not know, so that a source
    # without advisories could not be told from one package that is missing. `holes` is as strict.
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "-r", str(lock)]
    command += ["--format=json", "--desc=off", "--progress-spinner=off", f"--timeout={CONNECT_WITHIN_S}"]
    command += ["--vulnerability-service=osv", f"--osv-url={osv_url}"] if osv_url else []
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=AUDIT_WITHIN_S)
    except subprocess.TimeoutExpired:
        return Unanswered(f"its source did not answer within {AUDIT_WITHIN_S} s")
    return read_answer(ran)


def read_answer(ran: subprocess.CompletedProcess[str]) -> Answered | Unanswered:
    """What a finished pip-audit says. Its exit code does not tell a hole from a failed request."""
    if ran.stdout.startswith("{"):
        return _known(json.loads(ran.stdout)["dependencies"])
    if NO_ANSWER.search(ran.stderr):
        return Unanswered("its source did not answer")
    raise RuntimeError(f"pip-audit failed:\n{ran.stderr}")


def _known(dependencies: list[dict[str, Any]]) -> Answered | Unanswered:
    """A source that knows none of the packages (a mirror that serves files alone) has no advisories."""
    if all("skip_reason" in dependency for dependency in dependencies):
        return Unanswered("its source knows none of the packages")
    return Answered(dependencies)


def holes(answer: Answered | Unanswered, floors: Floors) -> list[str]:
    """A problem for each hole without a waiver, and for each package that was skipped: never a pass."""
    dependencies = answer.dependencies if isinstance(answer, Answered) else []
    problems = [problem for dependency in dependencies for problem in _holes_of(dependency, floors)]
    return list(dict.fromkeys(problems))  # the locks share most of their pins


def _holes_of(dependency: dict[str, Any], floors: Floors) -> list[str]:
    if "skip_reason" in dependency:
        return [f"{dependency['name']} was not audited: {dependency['skip_reason']}"]
    return [
        f"{dependency['name']} {dependency['version']} has {hole['id']}; fixed in {hole['fix_versions']}"
        for hole in dependency["vulns"]
        if not floors.waives(dependency["name"], frozenset({hole["id"], *hole["aliases"]}))
    ]


def _all_pins(locks: dict[Path, list[Pin]]) -> list[Pin]:
    return sorted({pin for pins in locks.values() for pin in pins}, key=lambda pin: (pin.package, pin.version))


def _floors_line(floors: Floors, locks: dict[Path, list[Pin]]) -> str:
    packages = {floor.package for floor in floors.floors}
    return f"floors.toml (dated {floors.dated}) checked {len(packages)} packages in {len(locks)} locks"


def _answer_line(answer: Answered | Unanswered) -> str:
    if isinstance(answer, Unanswered):
        return f"pip-audit did not run: {answer.reason}"
    return f"pip-audit asked about {len(answer.dependencies)} pins"


def _report(problems: list[str]) -> int:
    for problem in problems:
        print(f"audit: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m security.audit", description=main.__doc__)
    parser.add_argument("locks", nargs="+", type=Path, metavar="LOCK")
    parser.add_argument("--osv-url", help="ask this OSV service (a company's mirror) instead of the registry")
    return parser


if __name__ == "__main__":
    sys.exit(main())
