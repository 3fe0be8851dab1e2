"""What is measured, in which order, and what is told of it.

Every variant has its turn before any has its second: what else the machine does meanwhile touches all alike.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import product

from benchmarks.relay.bench import LONG, ONE, OPEN, RAW, TWO, Bench, Scale, prepared
from benchmarks.relay.figures import Samples, percentile, rounded
from benchmarks.relay.ground import PARTITIONS, ground
from benchmarks.relay.latency import DIRECT, OUTBOX
from benchmarks.relay.samples import KEYS, VALUE_BYTES
from benchmarks.report import Report

_SLOW, _FAST = 20, 500
_SHARES = {0.5: "p50", 0.99: "p99"}
_FULL = Scale(repeats=5, samples=20_000, times=5, history_thousands=5_000, seconds_at={_SLOW: 20, _FAST: 10})
_QUICK = Scale(repeats=2, samples=5_000, times=2, history_thousands=500, seconds_at={_SLOW: 4, _FAST: 2})

_DRAINS = {
    RAW: ("raw kafka-python producer, the same records", None),
    ONE: ("our relay, one process", RAW),
    TWO: ("our relay, two processes", ONE),
    LONG: ("one process, beside a history of published records", ONE),
    OPEN: ("one process, beside an open snapshot and an idle writing transaction", ONE),
}
_WAYS = {DIRECT: "direct send, no outbox", OUTBOX: "outbox and relay"}
_NOTES = (
    f"""{{scale.repeats}} repeats, in each one variant after the other. A drain carries {{scale.records:,}} records of
{VALUE_BYTES} bytes with the headers that the relay sends, {KEYS:,} keys, to {PARTITIONS} partitions.""",
    """Our relay is timed from the moment at which the whole backlog is there (one COMMIT, for which the relays wait,
ready and with their shares settled) to the last mark. The raw producer is timed from its first send to the end of its
flush: connected before, its records in memory, its settings those of the relay's own client.""",
    """The history is {scale.history_thousands:,} thousand published records that autovacuum has seen.""",
    """Commit → consumer: from the return of COMMIT in the writing process to the poll of a plain consumer in another,
the first records included; percentiles of each repeat. The direct send follows a commit of the same value to a plain
table, with no linger.""",
)


def main(arguments: list[str]) -> int:
    """Measure and report; 0."""
    options = _parser().parse_args(arguments)
    scale = _QUICK if options.quick else _FULL
    with ground("benchmark-relay") as laid, prepared(laid, scale, say=_say) as bench:
        samples = Samples()
        for repeat in range(scale.repeats):
            _measure(bench, samples, f"{repeat + 1} of {scale.repeats}")
        _report(samples, scale).publish(name="relay", environ=laid.environ)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks relay", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little of everything, in about a minute")
    parser.add_argument("--peers", action="store_true", help="the Python peers that are installed, too")
    return parser


def _measure(bench: Bench, samples: Samples, turn: str) -> None:
    for variant, per_second in bench.drains().items():
        samples.add(variant, per_second())
        _say(f"{turn}: {variant} {samples.last(variant):,.0f}/s")
    for rate in bench.scale.seconds_at:
        for way in _WAYS:
            milliseconds = bench.milliseconds(way, rate)
            for share in _SHARES:
                name = _name(way, rate, share)
                samples.add(name, percentile(milliseconds, share))
                _say(f"{turn}: {name} {samples.last(name):.1f} ms")


def _name(way: str, rate: int, share: float) -> str:
    return f"commit → consumer at {rate}/s, {_WAYS[way]}, {_SHARES[share]}"


def _report(samples: Samples, scale: Scale) -> Report:
    return Report(
        title="Relay",
        columns=("what", "unit", "min", "median", "max", "against"),
        rows=[*_rate_rows(samples), *_latency_rows(samples)],
        figures=rounded(_figures(samples)),
        notes=_notes(scale),
    )


def _rate_rows(samples: Samples) -> list[Sequence[object]]:
    return [
        (title, "records/s", *map(round, samples.summary(variant)), base and samples.ratio(variant, base))
        for variant, (title, base) in _DRAINS.items()
    ]


def _latency_rows(samples: Samples) -> list[Sequence[object]]:
    return [_latency_row(samples, *which) for which in product(_WAYS, (_SLOW, _FAST), _SHARES)]


def _latency_row(samples: Samples, way: str, rate: int, share: float) -> Sequence[object]:
    name = _name(way, rate, share)
    against = None if way == DIRECT else samples.ratio(name, _name(DIRECT, rate, share))
    return (name, "ms", *samples.summary(name), against)


def _figures(samples: Samples) -> dict[str, float | None]:
    figures = {
        "relay_per_s": samples.median(ONE),
        "raw_per_s": samples.median(RAW),
        "ratio": samples.ratio(ONE, RAW),
        "two_process_per_s": samples.median(TWO),
        "two_process_ratio": samples.ratio(TWO, ONE),
        "full_table_ratio": samples.ratio(LONG, ONE),
        "snapshot_ratio": samples.ratio(OPEN, ONE),
    }
    for share, name in _SHARES.items():
        ours, floor = _name(OUTBOX, _SLOW, share), _name(DIRECT, _SLOW, share)
        figures |= {
            f"{name}_ms": samples.median(ours),
            f"floor_{name}_ms": samples.median(floor),
            f"{name}_ratio": samples.ratio(ours, floor),
            f"{name}_500_ms": samples.median(_name(OUTBOX, _FAST, share)),
        }
    return figures


def _notes(scale: Scale) -> list[str]:
    return [note.format(scale=scale) for note in _NOTES]


def _say(text: str) -> None:
    print(f"benchmark: {text}", file=sys.stderr, flush=True)
