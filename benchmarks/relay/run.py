"""What is measured, and in which order: every variant has its turn before any has its second.

So what else the machine does meanwhile touches all alike: the ratios within one run are what counts. `bench` measures,
`told` makes the report.
"""

import argparse
import sys

from benchmarks.frame.figures import Measurements, percentile
from benchmarks.frame.ground import ground
from benchmarks.frame.writers import WAYS
from benchmarks.relay import peers
from benchmarks.relay.bench import FAST, PARTITIONS, SLOW, TOPIC, Bench, Scale, prepared
from benchmarks.relay.told import RSS_LAST, RSS_TENTH, SHARES, cpu_name, latency_name, report

_FULL = Scale(
    repeats=3, samples=20_000, times=5, memory_times=50, history_thousands=5_000, seconds_at={SLOW: 12, FAST: 6}
)
_QUICK = Scale(repeats=2, samples=5_000, times=2, memory_times=0, history_thousands=500, seconds_at={SLOW: 4, FAST: 2})


def main(arguments: list[str]) -> int:
    """Measure and report; 0."""
    options = _parser().parse_args(arguments)
    scale = _QUICK if options.quick else _FULL
    chosen_peers = peers.installed() if options.peers else []
    measurements = Measurements()
    with (
        ground("benchmark-relay", topic=TOPIC, partitions=PARTITIONS) as laid,
        prepared(laid, scale, chosen_peers=chosen_peers, say=_say) as bench,
    ):
        for repeat in range(scale.repeats):
            _say(f"repeat {repeat + 1} of {scale.repeats}")
            _measure_rates(bench, measurements)
            _measure_latencies(bench, measurements)
        if scale.memory_times:
            _measure_memory(bench, measurements)
        report(measurements, scale, peers=chosen_peers).publish(name="relay", environ=laid.environ)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks relay")
    parser.add_argument("--quick", action="store_true", help="little of everything, in about a minute")
    parser.add_argument("--peers", action="store_true", help="the Python peers that are installed, too")
    return parser


def _measure_rates(bench: Bench, measurements: Measurements) -> None:
    for variant, measure in bench.drains().items():
        taken, records = measure(), bench.scale.records
        measurements.add(variant, records / taken.seconds)
        measurements.add(cpu_name(variant), taken.cpu_seconds / records * 1e6)
        _say(f"{variant}: {records / taken.seconds:,.0f}/s, {taken.cpu_seconds / records * 1e6:.0f} µs of CPU a record")


def _measure_latencies(bench: Bench, measurements: Measurements) -> None:
    for rate in bench.scale.seconds_at:
        for way in WAYS:
            milliseconds = bench.milliseconds(way, rate)
            for share in SHARES:
                name, value = latency_name(way, rate, share), percentile(milliseconds, share)
                measurements.add(name, value)
                _say(f"{name}: {value:.1f} ms")


def _measure_memory(bench: Bench, measurements: Measurements) -> None:
    megabytes = bench.megabytes()
    measurements.add(RSS_TENTH, megabytes.first)
    measurements.add(RSS_LAST, megabytes.last)
    _say(f"memory: {megabytes.first:.0f} MB in the first tenth of the drain, {megabytes.last:.0f} MB in the last")


def _say(text: str) -> None:
    print(f"benchmark: {text}", file=sys.stderr, flush=True)
