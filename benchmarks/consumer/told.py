"""The report of a run: its table, its figures by the names that others look for, and how they were measured."""

from collections.abc import Sequence

from benchmarks.consumer.bench import PARTITIONS, RATE, Scale
from benchmarks.consumer.names import FAILING, LOGIN, NONE_FAILING, NOOP, REFERENCE
from benchmarks.frame.figures import Measurements
from benchmarks.frame.writers import DIRECT, WAYS
from benchmarks.report import Report

SHARES = {0.5: "p50", 0.99: "p99"}
_DRAINS = {
    REFERENCE: ("plain loop: poll, one insert of the ids a batch, commit", REFERENCE),
    NOOP: ("our consumer, one handler that does nothing", REFERENCE),
    LOGIN: ("our consumer, the three handlers of a sign-in", REFERENCE),
    NONE_FAILING: ("the same and a fourth one, which takes single events and writes a row", REFERENCE),
    FAILING: ("the same four, the fourth failing for 1 % of the events", NONE_FAILING),
}
_NOTES = (
    f"""{{scale.repeats}} repeats, in each one variant after the other, beginning with another one each time. Every one
reads the same {{scale.records:,}} `user.logged_in` of 5,000 users with the headers that publish() writes, from
{PARTITIONS} partitions, as one process and a group of its own, into tables that were emptied, vacuumed and analysed;
afterwards they hold each event once, which is checked.""",
    """The clock runs from the moment at which the first records are there to the commit of the last one's effects:
start, connections and joining the group are outside for all. Batches are of 500 records, offsets are committed about
every second. The plain loop is kafka-python and psycopg, and opens nothing but the header with the event's id. CPU:
of the reading process alone, without the database and the broker.""",
    """What fails does so at each attempt, by the usual policy: it is parked, tried again within the run and fails
again, and later events of its user wait behind it.""",
    f"""Commit → handled: at {RATE} records a second, from the return of COMMIT in the writing process to that of
COMMIT in our consumer, the first records included; percentiles of each repeat.""",
)


def latency_name(way: str, share: float) -> str:
    """What a percentile is called in the table."""
    return f"commit → handled at {RATE}/s, {WAYS[way]}, {SHARES[share]}"


def cpu_name(variant: str) -> str:
    """What the processor time that a variant takes for one record is kept as."""
    return f"{variant}, CPU"


def report(measurements: Measurements, scale: Scale) -> Report:
    """Of all repeats."""
    return Report(
        title="Consumer",
        columns=("what", "unit", "min", "median", "max", "against", "CPU µs/record"),
        rows=[
            *(_rate_row(measurements, title, variant, base) for variant, (title, base) in _DRAINS.items()),
            *(_latency_row(measurements, share, way) for share in SHARES for way in WAYS),
        ],
        figures=figures(measurements),
        notes=[note.format(scale=scale) for note in _NOTES],
    )


def _rate_row(measurements: Measurements, title: str, variant: str, base: str) -> Sequence[object]:
    per_second = map(round, measurements.summary(variant))
    cpu = round(measurements.median(cpu_name(variant)))
    return title, "records/s", *per_second, measurements.ratio(variant, base), cpu


def _latency_row(measurements: Measurements, share: float, way: str) -> Sequence[object]:
    name, floor = latency_name(way, share), latency_name(DIRECT, share)
    return name, "ms", *measurements.summary(name), measurements.ratio(name, floor), None


def figures(measurements: Measurements) -> dict[str, float]:
    """Medians and their ratios, by the names under which they are looked for; rounded."""
    found = {
        "reference_per_s": measurements.median(REFERENCE),
        "noop_per_s": measurements.median(NOOP),
        "noop_ratio": measurements.ratio(NOOP, REFERENCE),
        "login_per_s": measurements.median(LOGIN),
        "login_ratio": measurements.ratio(LOGIN, REFERENCE),
        "failing_ratio": measurements.ratio(FAILING, NONE_FAILING),
    }
    for share, name in SHARES.items():
        found[f"handled_{name}_ms"] = measurements.median(latency_name(DIRECT, share))
    return {name: round(value, 3) for name, value in found.items()}
