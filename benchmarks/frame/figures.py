"""What the repeats of one variant amount to, and how two variants compare. Pure; `run` measures, `told` reports."""

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self


@dataclass(frozen=True, slots=True)
class Taken:
    """What carrying a backlog took: time, and the carriers' own processor time."""

    seconds: float
    cpu_seconds: float

    @classmethod
    def read(cls, printed: str) -> Self:
        """What another process printed with `str`."""
        return cls(*map(float, printed.split()))

    def __str__(self) -> str:
        return f"{self.seconds} {self.cpu_seconds}"


class Tenths(NamedTuple):
    """The highest of what was sampled evenly, in the first tenth of the time and in the last."""

    first: float
    last: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Self:
        """Of samples in the order of their time, one at least."""
        length = math.ceil(len(samples) / 10)
        return cls(max(samples[:length]), max(samples[-length:]))


class Measurements:
    """What was measured of each variant, repeat by repeat."""

    def __init__(self) -> None:
        self._values: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, variant: str, value: float) -> None:
        """One repeat's."""
        self._values[variant].append(value)

    def __contains__(self, variant: str) -> bool:
        return variant in self._values

    def summary(self, variant: str) -> tuple[float, float, float]:
        """Least, median and most."""
        values = self._values[variant]
        return min(values), statistics.median(values), max(values)

    def median(self, variant: str) -> float:
        """Of all repeats."""
        return statistics.median(self._values[variant])

    def total(self, variant: str) -> float:
        """Of all repeats together."""
        return sum(self._values[variant])

    def ratio(self, variant: str, base: str) -> float:
        """Median over median."""
        return self.median(variant) / self.median(base)


def rotated(variants: Sequence[str], by: int) -> Sequence[str]:
    """All of them in their order, beginning with the `by`th (from 0), and after the last one from the front."""
    start = by % len(variants)
    return [*variants[start:], *variants[:start]]


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank: the least value that at least this share (0 to 1) of all values do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]
