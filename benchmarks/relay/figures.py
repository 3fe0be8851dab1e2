"""What the repeats of one variant amount to, and how two variants compare. Pure; `run` measures and reports."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence


class Samples:
    """What was measured of each variant, repeat by repeat."""

    def __init__(self) -> None:
        self._values: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, variant: str, value: float) -> None:
        """One repeat's."""
        self._values[variant].append(value)

    def last(self, variant: str) -> float:
        """The newest."""
        return self._values[variant][-1]

    def median(self, variant: str) -> float | None:
        """Of all repeats; None where it was not measured."""
        return statistics.median(self._values[variant]) if variant in self._values else None

    def ratio(self, variant: str, base: str) -> float | None:
        """Median over median."""
        above, below = self.median(variant), self.median(base)
        return None if above is None or below is None else above / below

    def summary(self, variant: str) -> tuple[float, float, float]:
        """Least, median and most."""
        values = self._values[variant]
        return min(values), statistics.median(values), max(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank: the least value that at least this share (0 to 1) of all values do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def rounded(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    """As they are reported: three places, whole numbers for rates."""
    return {name: _rounded(name, value) for name, value in figures.items()}


def _rounded(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    return round(value) if name.endswith("_per_s") else round(value, 3)
