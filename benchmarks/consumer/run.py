"""What is measured, and in which order: every variant has its turn before any has its second, each time another first.

So what else the machine does meanwhile, and what a run leaves to the next one, touches all alike. `bench` measures,
`told` makes the report.
"""

import argparse
import sys

from benchmarks.consumer.bench import PARTITIONS, TOPIC, Bench, Scale, prepared
from benchmarks.consumer.names import VARIANTS
from benchmarks.consumer.told import SHARES, cpu_name, latency_name, report
from benchmarks.frame.figures import Measurements, percentile, rotated
from benchmarks.frame.ground import ground
from benchmarks.frame.writers import WAYS

_FULL = Scale(repeats=3, records=50_000, seconds=10)
_QUICK = Scale(repeats=1, records=5_000, seconds=2)


def main(arguments: list[str]) -> int:
    """Measure and report; 0. A quick run's table is not kept."""
    options = _parser().parse_args(arguments)
    scale = _QUICK if options.quick else _FULL
    measurements = Measurements()
    with ground("benchmark-consumer", topic=TOPIC, partitions=PARTITIONS) as here, prepared(here, scale) as bench:
        for repeat in range(scale.repeats):
            _say(f"repeat {repeat + 1} of {scale.repeats}")
            for variant in rotated(VARIANTS, repeat):
                _measure_rate(bench, variant, measurements)
            for way in rotated(tuple(WAYS), repeat):
                _measure_latency(bench, way, measurements)
        found = report(measurements, scale)
        found.publish(name="consumer", environ=here.environ, keep=not options.quick)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks consumer")
    parser.add_argument("--quick", action="store_true", help="little of everything, in less than a minute")
    return parser


def _measure_rate(bench: Bench, variant: str, measurements: Measurements) -> None:
    taken, records = bench.drain(variant), bench.scale.records
    measurements.add(variant, records / taken.seconds)
    measurements.add(cpu_name(variant), taken.cpu_seconds / records * 1e6)
    _say(f"{variant}: {records / taken.seconds:,.0f}/s, {taken.cpu_seconds / records * 1e6:.0f} µs of CPU a record")


def _measure_latency(bench: Bench, way: str, measurements: Measurements) -> None:
    milliseconds = bench.milliseconds(way)
    for share in SHARES:
        name, value = latency_name(way, share), percentile(milliseconds, share)
        measurements.add(name, value)
        _say(f"{name}: {value:.1f} ms")


def _say(text: str) -> None:
    print(f"benchmark: {text}", file=sys.stderr, flush=True)
