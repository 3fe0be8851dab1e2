"""The report of a run: its table, its figures by pair, and how they were measured."""

from collections.abc import Mapping

from benchmarks.report import Report
from benchmarks.timing.equality import AUC_LEAST, AUC_MOST, Equality
from benchmarks.timing.pairs import PAIRS

_NOTES = (
    f"""A pair is equal where the AUC (how probably a request of the first class took longer than one of the second, by
Mann and Whitney) is within {AUC_LEAST:.2f} and {AUC_MOST:.2f}, and the medians are no further apart than 3 ms or 5 %.
All answers of a pair are the same, which is checked.""",
    """{samples} requests of either class, in an order by chance (seed {seed}), one at a time on one kept connection,
after {warm} of each that do not count. Quotas are raised; a worker runs that sends the mails. The old hash has the
parameters that plain Django stores (100 MiB, t=2, p=8).""",
)


def report(found: Mapping[str, Equality], *, samples: int, warm: int, seed: int) -> Report:
    """Of all pairs."""
    rows = [
        (
            pair.title,
            found[pair.name].auc,
            found[pair.name].median_ms,
            found[pair.name].other_median_ms,
            found[pair.name].apart_ms,
            found[pair.name].may_be_apart_ms,
            "yes" if found[pair.name].holds else "NO",
        )
        for pair in PAIRS
    ]
    return Report(
        title="Equal times",
        columns=("pair", "AUC", "median ms", "the other's", "apart ms", "may be", "equal"),
        rows=rows,
        figures=figures(found),
        notes=[note.format(samples=samples, warm=warm, seed=seed) for note in _NOTES],
    )


def figures(found: Mapping[str, Equality]) -> dict[str, object]:
    """By pair: the AUC and how far its medians are apart; and the pairs that are not equal."""
    told: dict[str, object] = {
        name: {"auc": round(one.auc, 3), "medians_apart_ms": round(one.apart_ms, 3), "equal": one.holds}
        for name, one in found.items()
    }
    return told | {"unequal": [name for name, one in found.items() if not one.holds]}
