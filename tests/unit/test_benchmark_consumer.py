"""What the consumer's benchmark tells and in which order it measures, with figures reckoned by hand."""

import pytest

from benchmarks.consumer.bench import Scale
from benchmarks.consumer.names import FAILING, LOGIN, NONE_FAILING, NOOP, REFERENCE, VARIANTS
from benchmarks.consumer.told import cpu_name, figures, latency_name, report
from benchmarks.frame.figures import Measurements, rotated
from benchmarks.frame.writers import DIRECT, OUTBOX

_RATES = {REFERENCE: 20_000.0, NOOP: 12_000.0, LOGIN: 6_000.0, NONE_FAILING: 2_000.0, FAILING: 1_500.0}
_LATENCIES = {
    latency_name(DIRECT, 0.5): 6.0, latency_name(DIRECT, 0.99): 15.0,
    latency_name(OUTBOX, 0.5): 9.0, latency_name(OUTBOX, 0.99): 30.0,
}  # fmt: skip


def _measured() -> Measurements:
    measurements = Measurements()
    for name, value in (_RATES | _LATENCIES).items():
        measurements.add(name, value)
    for variant in _RATES:
        measurements.add(cpu_name(variant), 100.0)
    return measurements


def test_the_figures_have_the_names_that_others_look_for() -> None:
    assert figures(_measured()) == {
        "reference_per_s": 20_000, "noop_per_s": 12_000, "noop_ratio": 0.6, "login_per_s": 6_000, "login_ratio": 0.3,
        "failing_ratio": 0.75, "handled_p50_ms": 6.0, "handled_p99_ms": 15.0,
    }  # fmt: skip


def test_the_table_compares_what_fails_with_the_same_handlers_where_none_does() -> None:
    told = report(_measured(), Scale(repeats=5, records=50_000, seconds=10))

    against = dict(zip((row[0] for row in told.rows), (row[5] for row in told.rows), strict=True))
    assert list(against.values()) == [1.0, 0.6, 0.3, 0.1, 0.75, 1.0, 1.5, 1.0, 2.0]
    assert "50,000" in told.notes[0]


@pytest.mark.parametrize(
    ("by", "expected"),
    [(0, ["a", "b", "c"]), (1, ["b", "c", "a"]), (2, ["c", "a", "b"]), (3, ["a", "b", "c"])],
)
def test_each_repeat_begins_with_another_variant(by: int, expected: list[str]) -> None:
    assert rotated(["a", "b", "c"], by) == expected


def test_within_as_many_repeats_as_variants_each_is_first_once() -> None:
    assert {rotated(VARIANTS, repeat)[0] for repeat in range(len(VARIANTS))} == set(VARIANTS)
