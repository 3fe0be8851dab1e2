"""Floors and locks as values, and what is wrong between them: pure, no network.

Before: `security/floors.toml` and the lock files. After: `security/audit.py` prints the problems.
"""

import datetime as dt
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


class LockError(ValueError):
    """A lock has a line that is not `name==version --hash=sha256:…`: nothing in it can be trusted."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One exact version in a lock; a package has several where they depend on the machine."""

    package: str
    version: Version


@dataclass(frozen=True, slots=True)
class Floor:
    """The lowest version of a package without these holes: one for each series that gets fixes."""

    package: str
    lowest: tuple[Version, ...]
    ids: frozenset[str]
    why: str

    def lowest_for(self, version: Version) -> Version:
        """The fix in the version's own series (5.2, 6.0); else the highest of all."""
        own_series = [low for low in self.lowest if low.release[:2] == version.release[:2]]
        return own_series[0] if own_series else max(self.lowest)


@dataclass(frozen=True, slots=True)
class Waiver:
    """A known hole in one package that is accepted up to and including `until`."""

    id: str
    package: str
    until: dt.date
    why: str


@dataclass(frozen=True, slots=True)
class Floors:
    """All of `floors.toml`."""

    dated: dt.date
    floors: tuple[Floor, ...]
    waivers: tuple[Waiver, ...]

    def expired(self, *, today: dt.date) -> list[str]:
        """A problem for each waiver that has run out."""
        return [
            f"the waiver of {waiver.id} for {waiver.package} ended on {waiver.until}"
            for waiver in self.waivers
            if waiver.until < today
        ]

    def waives(self, package: str, ids: frozenset[str]) -> bool:
        """Whether one of these names of a hole is waived for that package."""
        return any(waiver.package == package and waiver.id in ids for waiver in self.waivers)

    def below(self, pins: list[Pin]) -> list[str]:
        """A problem for each pin under a floor, and for each floor whose package is not pinned at all."""
        pinned = {pin.package for pin in pins}
        unseen = sorted({floor.package for floor in self.floors} - pinned)
        low = [self._below_floor(pin, floor) for pin in pins for floor in self.floors]
        return [f"{package} has a floor and no pin" for package in unseen] + [line for line in low if line]

    def _below_floor(self, pin: Pin, floor: Floor) -> str | None:
        lowest = floor.lowest_for(pin.version)
        if pin.package != floor.package or pin.version >= lowest or self._all_waived(floor):
            return None
        return f"{pin.package} {pin.version} is below {lowest}: {', '.join(sorted(floor.ids))} {floor.why}"

    def _all_waived(self, floor: Floor) -> bool:
        return bool(floor.ids) and all(self.waives(floor.package, frozenset({id_})) for id_ in floor.ids)


def read_floors(path: Path) -> Floors:
    """Read `floors.toml`. Raises KeyError, ValueError or TypeError where it lacks or misspells a member."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return Floors(
        dated=document["dated"],
        floors=tuple(_floor(table) for table in document["floor"]),
        waivers=tuple(Waiver(**table) for table in document.get("waiver", [])),
    )


def _floor(table: dict[str, list[str]]) -> Floor:
    return Floor(
        package=canonicalize_name(str(table["package"])),
        lowest=tuple(Version(version) for version in table["lowest"]),
        ids=frozenset(table["ids"]),
        why=str(table["why"]),
    )


def read_lock(path: Path) -> list[Pin]:
    """Every pin of a lock, whatever machine it is for. Raises LockError."""
    joined = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise LockError(f"{path}: pins nothing")
    return [_pin(line, path) for line in lines]


def _pin(line: str, path: Path) -> Pin:
    pinned, hashed, _ = line.partition(" --hash=sha256:")
    if not hashed:
        raise LockError(f"{path}: no hash: {line}")
    try:
        requirement = Requirement(pinned)
    except InvalidRequirement as error:
        raise LockError(f"{path}: not a requirement: {pinned}") from error
    exact = [clause.version for clause in requirement.specifier if clause.operator == "=="]
    if len(exact) != 1:
        raise LockError(f"{path}: not one exact version: {pinned}")
    return Pin(package=canonicalize_name(requirement.name), version=Version(exact[0]))
