"""The report of a run: its table, its figures by the names that others look for, and how they were measured."""

from collections.abc import Sequence
from importlib.metadata import version
from itertools import product

from benchmarks.frame.figures import Measurements
from benchmarks.frame.samples import KEYS, VALUE_BYTES
from benchmarks.frame.writers import DIRECT, OUTBOX, WAYS
from benchmarks.relay.bench import FAST, LONG, ONE, OPEN, PARTITIONS, RAW, SLOW, TWO, Scale
from benchmarks.report import Report

SHARES = {0.5: "p50", 0.99: "p99"}
RSS_TENTH, RSS_LAST = "rss_tenth_mb", "rss_last_mb"
_DRAINS = {
    RAW: ("raw kafka-python producer, the same records", RAW),
    ONE: ("our relay, one process", RAW),
    TWO: ("our relay, two processes", ONE),
    LONG: ("one process, beside a history of published records", ONE),
    OPEN: ("one process, beside an open snapshot and an idle writing transaction", ONE),
}
_MEMORY = {
    RSS_TENTH: "memory of one process over a million records, highest in the first tenth",
    RSS_LAST: "the same, highest in the last tenth",
}
_NOTES = (
    f"""{{scale.repeats}} repeats, in each one variant after the other. A drain carries {{scale.records:,}} records of
{VALUE_BYTES} bytes with the headers that the relay sends, {KEYS:,} keys, to {PARTITIONS} partitions.""",
    """Our relay is timed from the moment at which the whole backlog is there (one COMMIT, for which the relays wait,
ready and with their shares settled) to the last mark. The raw producer is timed from its first send to the end of its
flush: connected before, its records in memory, its settings those of the relay's own client. CPU: of the sending
processes alone, without the database and the broker.""",
    """The history is {history:,} published records that autovacuum has seen.""",
    """Commit → consumer: from the return of COMMIT in the writing process to the poll of a plain consumer in another,
the first records included; percentiles of each repeat. The direct send follows a commit of the same value to a plain
table, with no linger.""",
    """Memory, in a full run only: the resident set of the relay's process, sampled 20 times a second while it drains a
million records, once.""",
)


def latency_name(way: str, rate: int, share: float) -> str:
    """What a percentile is called in the table."""
    return f"commit → consumer at {rate}/s, {WAYS[way]}, {SHARES[share]}"


def cpu_name(variant: str) -> str:
    """What the processor time that a variant takes for one record is kept as."""
    return f"{variant}, CPU"


def report(measurements: Measurements, scale: Scale, *, peers: Sequence[str]) -> Report:
    """Of all repeats; `peers` are those that were measured."""
    rates = _DRAINS | {peer: (f"{peer} {version(peer)}, one process", ONE) for peer in peers}
    return Report(
        title="Relay",
        columns=("what", "unit", "min", "median", "max", "against", "CPU µs/record"),
        rows=[
            *(_rate_row(measurements, title, variant, base) for variant, (title, base) in rates.items()),
            *(_latency_row(measurements, *which) for which in product((SLOW, FAST), SHARES, WAYS)),
            *(_memory_row(measurements, name, title) for name, title in _MEMORY.items() if name in measurements),
        ],
        figures=figures(measurements, peers=peers),
        notes=[note.format(scale=scale, history=scale.history_thousands * 1_000) for note in _NOTES],
    )


def _rate_row(measurements: Measurements, title: str, variant: str, base: str) -> Sequence[object]:
    per_second = map(round, measurements.summary(variant))
    cpu = round(measurements.median(cpu_name(variant)))
    return title, "records/s", *per_second, measurements.ratio(variant, base), cpu


def _latency_row(measurements: Measurements, rate: int, share: float, way: str) -> Sequence[object]:
    name, floor = latency_name(way, rate, share), latency_name(DIRECT, rate, share)
    return name, "ms", *measurements.summary(name), measurements.ratio(name, floor), None


def _memory_row(measurements: Measurements, name: str, title: str) -> Sequence[object]:
    return title, "MB", *map(round, measurements.summary(name)), measurements.ratio(name, RSS_TENTH), None


def figures(measurements: Measurements, *, peers: Sequence[str]) -> dict[str, float | None]:
    """Medians and their ratios, by the names under which they are looked for; rounded."""
    found = {
        "relay_per_s": measurements.median(ONE),
        "raw_per_s": measurements.median(RAW),
        "ratio": measurements.ratio(ONE, RAW),
        "two_process_per_s": measurements.median(TWO),
        "two_process_ratio": measurements.ratio(TWO, ONE),
        "full_table_ratio": measurements.ratio(LONG, ONE),
        "snapshot_ratio": measurements.ratio(OPEN, ONE),
    }
    for share, name in SHARES.items():
        ours, floor = latency_name(OUTBOX, SLOW, share), latency_name(DIRECT, SLOW, share)
        found |= {
            f"{name}_ms": measurements.median(ours),
            f"floor_{name}_ms": measurements.median(floor),
            f"{name}_ratio": measurements.ratio(ours, floor),
            f"{name}_500_ms": measurements.median(latency_name(OUTBOX, FAST, share)),
        }
    fastest_peer = max(peers, key=measurements.median, default=None)
    against_peer = None if fastest_peer is None else round(measurements.ratio(ONE, fastest_peer), 3)
    memory = {name: round(measurements.median(name), 1) if name in measurements else None for name in _MEMORY}
    return {name: round(value, 3) for name, value in found.items()} | {"peer_ratio": against_peer} | memory
