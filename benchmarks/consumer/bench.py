"""Everything laid for a run, and each variant as something to call: `run` does so in turn and sums up."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from benchmarks.consumer.latency import latencies_ms
from benchmarks.consumer.names import REFERENCE
from benchmarks.consumer.tables import Tables
from benchmarks.frame.figures import Taken
from benchmarks.frame.ground import Ground

TOPIC, TOPIC_OF_SINGLES = "benchmark.consumer", "benchmark.singles"
PARTITIONS = 3
RATE = 50  # single records a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: a drain reads `records`; single ones are written for `seconds`."""

    repeats: int
    records: int
    seconds: int


@dataclass(slots=True)
class Bench:
    """What is called here is measured, each time by a group that nobody has seen before."""

    scale: Scale
    here: Ground
    singles: Ground
    tables: Tables
    _groups: int = field(default=0, init=False)

    def drain(self, variant: str) -> Taken:
        """The whole topic, by one process. Raises WrongOutcome."""
        self.tables.clear()
        group, count = self._new_group(), str(self.scale.records)
        if variant == REFERENCE:
            arguments = (self.here.brokers, self.here.topic, self.here.dsn, group, count)
            told = self.here.run("-m", "benchmarks.consumer.reference", *arguments)
        else:
            told = self.here.run_in_django("consumer.ours", variant, group, count)
        self.tables.check(variant, group=group)
        return Taken.read(told.splitlines()[-1])  # the log comes before

    def milliseconds(self, way: str) -> list[float]:
        """From commit to handled, each record's."""
        self.tables.clear()
        return latencies_ms(
            self.singles, self.tables, way, group=self._new_group(), rate=RATE, seconds=self.scale.seconds
        )

    def _new_group(self) -> str:
        self._groups += 1
        return f"benchmark-{self._groups}"


@contextmanager
def prepared(here: Ground, scale: Scale) -> Iterator[Bench]:
    """The topic filled; another one for single records."""
    with closing(Tables(here.dsn)) as tables:
        tables.make()
        here.run_in_django("consumer.logins", str(scale.records))
        yield Bench(scale, here, here.on_topic(TOPIC_OF_SINGLES), tables)
