"""Whether two classes of times can be told apart. Pure; `run` measures, `told` reports.

Source of the area under the curve: Mann and Whitney (1947), U over the number of pairs.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

AUC_LEAST, AUC_MOST = 0.40, 0.60
_APART_MS, _APART_SHARE = 3.0, 0.05


@dataclass(frozen=True, slots=True)
class Equality:
    """What two classes amount to.

    `auc`: how probably one of the first took longer than one of the second; half where nothing tells them apart.
    """

    auc: float
    median_ms: float
    other_median_ms: float

    @property
    def apart_ms(self) -> float:
        """How much later the median of the first is."""
        return self.median_ms - self.other_median_ms

    @property
    def may_be_apart_ms(self) -> float:
        """How much that may be, either way."""
        return max(_APART_MS, _APART_SHARE * min(self.median_ms, self.other_median_ms))

    @property
    def holds(self) -> bool:
        """Neither the order nor the medians tell the classes apart."""
        return AUC_LEAST <= self.auc <= AUC_MOST and abs(self.apart_ms) <= self.may_be_apart_ms


def compare(ones: Sequence[float], others: Sequence[float]) -> Equality:
    """Of two classes of one time at least."""
    return Equality(auc(ones, others), statistics.median(ones), statistics.median(others))


def auc(ones: Sequence[float], others: Sequence[float]) -> float:
    """The share of pairs in which the first is the greater one; equal ones count half."""
    ordered = sorted([(value, True) for value in ones] + [(value, False) for value in others])
    below, won = 0, 0.0
    for _, equal in groupby(ordered, key=lambda one: one[0]):
        mine = [is_one for _, is_one in equal]
        theirs = mine.count(False)
        won += mine.count(True) * (below + theirs / 2)
        below += theirs
    return won / (len(ones) * len(others))
