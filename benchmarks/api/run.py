"""What is measured, and in which order: what is compared has its turns side by side, each round another one first.

So what else the machine does meanwhile, and what a turn leaves to the next one, touches all alike. `bench` measures,
`told` makes the report.
"""

import argparse
import sys

from benchmarks.api.bench import NAME, PARTITIONS, TOPIC, Bench, Scale, prepared
from benchmarks.api.names import ALONE, GROUPS, ME
from benchmarks.api.told import LOAD_CORES, RATIOS, UNAVAILABLE, p99_name, report
from benchmarks.frame.figures import Measurements, rotated
from benchmarks.frame.ground import ground
from devstack import stack

_FULL = Scale(rounds=5, warm_s=1.0, seconds=5.0, hashing_seconds=12.0, samples=20_000, times=50, pages=10_000)
_QUICK = Scale(rounds=2, warm_s=0.5, seconds=1.0, hashing_seconds=3.0, samples=5_000, times=10, pages=500)

Round = dict[str, float]


def main(arguments: list[str]) -> int:
    """Measure and report; 0. A quick run's table is not kept."""
    options = _parser().parse_args(arguments)
    scale = _QUICK if options.quick else _FULL
    measurements = Measurements()
    with (
        ground(NAME, topic=TOPIC, partitions=PARTITIONS) as here,
        stack(NAME, given={}) as parts,  # the same once more, to end and start them by
        prepared(here, parts, scale) as bench,
    ):
        for number in range(scale.rounds):
            _say(f"round {number + 1} of {scale.rounds}")
            _add_ratios(_round(bench, number, measurements), measurements)
        found = report(measurements, scale)
        found.publish(name="api", environ=here.environ, keep=not options.quick)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks api")
    parser.add_argument("--quick", action="store_true", help="little of everything, in a minute or two")
    return parser


def _round(bench: Bench, number: int, measurements: Measurements) -> Round:
    """Every variant's turn."""
    alone = bench.measure_alone()
    measurements.add(ALONE, alone.per_s)
    _say(f"{ALONE}: {alone.per_s:,.0f}/s")
    found: Round = {}
    for variants in GROUPS:
        for variant in rotated(variants, number):
            found |= _measure(bench, variant, measurements)
    return found


def _measure(bench: Bench, variant: str, measurements: Measurements) -> Round:
    answered = bench.measure(variant)
    found = {variant: answered.per_s, p99_name(variant): answered.p99_ms}
    for name, value in found.items():
        measurements.add(name, value)
    measurements.add(UNAVAILABLE, answered.unavailable)
    if variant == ME:
        measurements.add(LOAD_CORES, answered.load_cores)
    _say(
        f"{variant}: {answered.per_s:,.0f}/s, 99 of 100 within {answered.p99_ms:.0f} ms,"
        f" {answered.unavailable} unavailable; the load took {answered.load_cores:.2f} cores"
    )
    return found


def _add_ratios(found: Round, measurements: Measurements) -> None:
    """Within the round, so that what changes from round to round does not count."""
    for ratio, (over, under) in RATIOS.items():
        measurements.add(ratio, found[over] / found[under])
        _say(f"{ratio}: {found[over] / found[under]:.3f}")


def _say(text: str) -> None:
    print(f"benchmark: {text}", file=sys.stderr, flush=True)
