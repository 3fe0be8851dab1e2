"""The audit fails on a known hole, whoever knows it, and never takes silence for a pass."""

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from packaging.version import Version

from security.audit import Answered, Unanswered, holes, read_answer
from security.floors import Floors, LockError, Pin, read_floors, read_lock

ROOT = Path(__file__).parents[2]
TODAY = dt.date(2026, 12, 1)
# Every package that has a floor, each at its floor.
AT_THE_FLOORS = {
    "celery": "5.2.2",
    "django": "5.2.19",
    "djangorestframework": "3.18.2",
    "gunicorn": "22.0.0",
    "kafka-python": "2.3.2",
    "pyjwt": "2.15.1",
}


class Advisories(BaseHTTPRequestHandler):
    """An OSV service on loopback: knows one hole each for the packages in `holed`."""

    holed: ClassVar[dict[str, str]] = {}

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        hole = self.holed.get(asked["package"]["name"])
        body = json.dumps({"vulns": [{"id": hole, "affected": []}]} if hole else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def advisories(**holed: str) -> Iterator[str]:
    handler = type("Holed", (Advisories,), {"holed": holed})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def write_lock(path: Path, **changed: str) -> Path:
    pinned = AT_THE_FLOORS | {name.replace("_", "-"): version for name, version in changed.items()}
    hashed = [f"{name}=={version} \\\n    --hash=sha256:{'0' * 64}\n" for name, version in pinned.items()]
    path.write_text("".join(hashed))
    return path


def audit(lock: Path, osv_url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "security.audit", str(lock), "--osv-url", osv_url]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def floors_with(tmp_path: Path, waivers: str) -> Floors:
    path = tmp_path / "floors.toml"
    path.write_text((ROOT / "security/floors.toml").read_text() + waivers)
    return read_floors(path)


def waiver(*, id_: str, package: str, until: str) -> str:
    return f'\n[[waiver]]\nid = "{id_}"\npackage = "{package}"\nuntil = {until}\nwhy = "a test"\n'


def test_a_lock_at_the_floors_passes_and_both_ways_ran(tmp_path: Path) -> None:
    with advisories() as osv_url:
        ran = audit(write_lock(tmp_path / "lock.txt"), osv_url)
    assert ran.returncode == 0, ran.stderr
    assert "checked 6 packages" in ran.stdout
    assert "pip-audit asked about 6 pins" in ran.stdout


def test_a_copy_of_our_lock_with_a_vulnerable_pin_fails_without_any_network(tmp_path: Path) -> None:
    ours = (ROOT / "requirements.txt").read_text()
    copy = tmp_path / "requirements.txt"
    copy.write_text(ours.replace("djangorestframework==3.18.3", "djangorestframework==3.18.1"))
    assert copy.read_text() != ours
    ran = audit(copy, "http://127.0.0.1:9/")
    assert ran.returncode == 1
    assert "djangorestframework 3.18.1 is below 3.18.2: CVE-2026-114136" in ran.stderr
    assert "pip-audit did not run: its source did not answer" in ran.stdout


def test_a_hole_that_only_the_source_knows_fails(tmp_path: Path) -> None:
    with advisories(gunicorn="CVE-2030-1") as osv_url:
        ran = audit(write_lock(tmp_path / "lock.txt"), osv_url)
    assert ran.returncode == 1
    assert "gunicorn 22.0.0 has CVE-2030-1" in ran.stderr


@pytest.mark.parametrize(
    ("version", "is_low"),
    [
        ("5.2.18", True),
        ("5.2.19", False),
        ("6.0.9", True),
        ("6.0.10", False),
        ("5.1.99", True),
        ("6.2", False),
    ],
)
def test_each_series_has_its_own_floor(version: str, is_low: bool) -> None:  # noqa: FBT001 - a table's column
    floors = read_floors(ROOT / "security/floors.toml")
    pins = [Pin(name, Version(at)) for name, at in (AT_THE_FLOORS | {"django": version}).items()]
    assert bool(floors.below(pins)) is is_low


def test_a_floor_whose_package_is_not_pinned_is_a_problem() -> None:
    floors = read_floors(ROOT / "security/floors.toml")
    pins = [Pin(name, Version(at)) for name, at in AT_THE_FLOORS.items() if name != "pyjwt"]
    assert floors.below(pins) == ["pyjwt has a floor and no pin"]


@pytest.mark.parametrize(
    "line",
    [
        "django==5.2.19",
        "django>=5.2.19 --hash=sha256:00",
        "./here --hash=sha256:00",
        "django --hash=sha256:00",
        "",
    ],
)
def test_a_line_that_is_not_one_hashed_version_spoils_the_lock(tmp_path: Path, line: str) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(f"{line}\n")
    with pytest.raises(LockError):
        read_lock(lock)


def test_every_version_of_a_package_is_checked(tmp_path: Path) -> None:
    lock = write_lock(tmp_path / "lock.txt")
    older = f"celery==5.2.1 ; sys_platform == 'win32' --hash=sha256:{'0' * 64}\n"
    lock.write_text(lock.read_text() + older)
    (problem,) = read_floors(ROOT / "security/floors.toml").below(read_lock(lock))
    assert problem.startswith("celery 5.2.1 is below 5.2.2")


def test_a_package_that_the_source_skipped_is_no_pass() -> None:
    answer = Answered([{"name": "django", "version": "5.2.19", "vulns": []}, {"name": "celery", "skip_reason": "?"}])
    floors = read_floors(ROOT / "security/floors.toml")
    assert holes(answer, floors) == ["celery was not audited: ?"]


def test_a_source_that_knows_nothing_did_not_answer() -> None:
    """pip-audit itself ends with 0 and "No known vulnerabilities found" here."""
    told = json.dumps({"dependencies": [{"name": "django", "skip_reason": "Dependency not found"}], "fixes": []})
    ran = subprocess.CompletedProcess([], 0, stdout=told, stderr="No known vulnerabilities found")
    assert read_answer(ran) == Unanswered("its source knows none of the packages")


def test_a_pip_audit_that_fails_by_itself_is_told_as_such() -> None:
    ran = subprocess.CompletedProcess([], 2, stdout="", stderr="usage: pip-audit")
    with pytest.raises(RuntimeError, match="usage: pip-audit"):
        read_answer(ran)


def test_a_waived_hole_passes_for_its_package_alone(tmp_path: Path) -> None:
    floors = floors_with(tmp_path, waiver(id_="CVE-2030-1", package="celery", until="2026-12-31"))
    hole = {"id": "PYSEC-1", "aliases": ["CVE-2030-1"], "fix_versions": ["9"]}
    answer = Answered([{"name": name, "version": "5", "vulns": [hole]} for name in ("celery", "django")])
    assert holes(answer, floors) == ["django 5 has PYSEC-1; fixed in ['9']"]
    assert floors.expired(today=TODAY) == []


def test_a_waiver_of_all_a_floors_holes_lifts_the_floor(tmp_path: Path) -> None:
    floors = floors_with(tmp_path, waiver(id_="CVE-2021-23727", package="celery", until="2026-12-31"))
    pins = [Pin(name, Version(at)) for name, at in (AT_THE_FLOORS | {"celery": "5.2.1"}).items()]
    assert floors.below(pins) == []


def test_a_waiver_is_good_to_its_last_day_and_a_problem_after_it(tmp_path: Path) -> None:
    floors = floors_with(tmp_path, waiver(id_="CVE-2030-1", package="celery", until="2026-12-01"))
    assert floors.expired(today=TODAY) == []
    assert floors.expired(today=TODAY + dt.timedelta(days=1)) == [
        "the waiver of CVE-2030-1 for celery ended on 2026-12-01"
    ]
