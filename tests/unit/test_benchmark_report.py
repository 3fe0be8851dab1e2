"""What a benchmark tells: percentiles, medians and ratios, with figures reckoned by hand."""

import json
from collections.abc import Mapping, Sequence

import pytest

from benchmarks.frame.figures import Measurements, Tenths, percentile
from benchmarks.frame.writers import DIRECT, OUTBOX
from benchmarks.relay.bench import LONG, ONE, OPEN, RAW, TWO
from benchmarks.relay.told import RSS_LAST, RSS_TENTH, figures, latency_name

_ALL = {
    RAW: (16_000.0,), ONE: (10_000.0,), TWO: (17_000.0,), LONG: (9_700.0,), OPEN: (9_500.0,),
    latency_name(OUTBOX, 20, 0.5): (3.0,), latency_name(DIRECT, 20, 0.5): (2.5,),
    latency_name(OUTBOX, 20, 0.99): (9.0,), latency_name(DIRECT, 20, 0.99): (6.0,),
    latency_name(OUTBOX, 500, 0.5): (4.0,), latency_name(OUTBOX, 500, 0.99): (20.0,),
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7.0], 0.5, 7.0),
        ([7.0], 0.99, 7.0),
        ([4.0, 1.0, 3.0, 2.0], 0.5, 2.0),
        ([5.0, 1.0, 3.0, 2.0, 4.0], 0.5, 3.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 102)], 0.99, 100.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def _measurements(repeats: Mapping[str, Sequence[float]]) -> Measurements:
    measurements = Measurements()
    for variant, values in repeats.items():
        for value in values:
            measurements.add(variant, value)
    return measurements


def test_one_bad_repeat_moves_neither_the_median_nor_the_ratio() -> None:
    measured = _measurements({"ours": (90.0, 100.0, 2.0), "theirs": (40.0, 900.0, 50.0)})

    assert measured.summary("ours") == (2.0, 90.0, 100.0)
    assert measured.ratio("ours", "theirs") == 1.8


def test_the_figures_have_the_names_that_others_look_for() -> None:
    memory = {RSS_TENTH: (120.04,), RSS_LAST: (126.0,)}
    measured = _measurements(_ALL | memory | {"slow peer": (2_000.0,), "fast peer": (8_000.0,)})

    found = figures(measured, peers=["slow peer", "fast peer"])

    assert found == {
        "relay_per_s": 10_000, "raw_per_s": 16_000, "ratio": 0.625,
        "two_process_per_s": 17_000, "two_process_ratio": 1.7, "full_table_ratio": 0.97, "snapshot_ratio": 0.95,
        "p50_ms": 3.0, "floor_p50_ms": 2.5, "p50_ratio": 1.2, "p50_500_ms": 4.0,
        "p99_ms": 9.0, "floor_p99_ms": 6.0, "p99_ratio": 1.5, "p99_500_ms": 20.0,
        "peer_ratio": 1.25, "rss_tenth_mb": 120.0, "rss_last_mb": 126.0,
    }  # fmt: skip


def test_what_was_not_measured_is_null() -> None:
    found = json.loads(json.dumps(figures(_measurements(_ALL), peers=[])))

    assert [found[name] for name in ("peer_ratio", "rss_tenth_mb", "rss_last_mb")] == [None, None, None]


@pytest.mark.parametrize(
    ("samples", "first", "last"),
    [
        ([5.0], 5.0, 5.0),
        ([1.0, 9.0, 2.0], 1.0, 2.0),
        ([3.0, 9.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 9.0, 4.0], 3.0, 4.0),
        ([3.0, 7.0, 9.0, 2.0, 2.0, 2.0, 2.0, 2.0, 9.0, 8.0, 4.0], 7.0, 8.0),
    ],
)
def test_a_drain_s_memory_is_the_highest_of_its_first_and_of_its_last_tenth(
    samples: list[float], first: float, last: float
) -> None:
    assert Tenths.of(samples) == (first, last)
