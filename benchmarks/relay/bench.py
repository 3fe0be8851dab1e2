"""One run's variants, each to be measured again and again: `run` calls them in turn and sums up.

Two databases: `here` is emptied before each drain, `beside_history` keeps millions of published records.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial

from benchmarks.frame.figures import Taken, Tenths
from benchmarks.frame.ground import Ground
from benchmarks.relay import peers
from benchmarks.relay.drain import bystanders, drain
from benchmarks.relay.latency import latencies_ms
from benchmarks.relay.memory import drain_watched
from benchmarks.relay.outbox import Outbox

TOPIC = "benchmark.relay"
PARTITIONS = 12
RAW, ONE, TWO, LONG, OPEN = "raw", "one", "two", "long", "open"
SLOW, FAST = 20, 500  # single records a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: a drain carries `samples` times `times` records, that for memory `memory_times`."""

    repeats: int
    samples: int
    times: int
    memory_times: int  # 0: it is not measured
    history_thousands: int
    seconds_at: Mapping[int, int]  # of single records, by their rate a second

    @property
    def records(self) -> int:
        """A drain's."""
        return self.samples * self.times


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything laid: what is called from here on is measured."""

    scale: Scale
    here: Ground
    outbox: Outbox
    beside_history: Ground
    outbox_with_history: Outbox
    chosen_peers: Sequence[str]

    def drains(self) -> dict[str, Callable[[], Taken]]:
        """By variant, what measures it."""
        return {
            RAW: self._send_raw,
            ONE: partial(self._drain, processes=1),
            TWO: partial(self._drain, processes=2),
            LONG: partial(drain, self.beside_history, self.outbox_with_history, times=self.scale.times),
            OPEN: self._drain_beside_open_transactions,
            **{peer: partial(self._drain_by_peer, peer) for peer in self.chosen_peers},
        }

    def milliseconds(self, way: str, rate: int) -> list[float]:
        """From commit to consumer, each record's."""
        self.outbox.clear()
        return latencies_ms(self.here, way, rate=rate, seconds=self.scale.seconds_at[rate])

    def megabytes(self) -> Tenths:
        """Of one relay, through a long drain."""
        self.outbox.clear()
        return drain_watched(self.here, self.outbox, times=self.scale.memory_times)

    def _send_raw(self) -> Taken:
        arguments = (self.here.brokers, self.here.topic, str(self.scale.samples), str(self.scale.times))
        return Taken.read(self.here.run("-m", "benchmarks.relay.raw", *arguments))

    def _drain(self, *, processes: int) -> Taken:
        self.outbox.clear()
        return drain(self.here, self.outbox, times=self.scale.times, processes=processes)

    def _drain_beside_open_transactions(self) -> Taken:
        with bystanders(self.here):
            return self._drain(processes=1)

    def _drain_by_peer(self, peer: str) -> Taken:
        return peers.drain(self.here, peer, samples=self.scale.samples, times=self.scale.times)


@contextmanager
def prepared(
    ground: Ground, scale: Scale, *, chosen_peers: Sequence[str], say: Callable[[str], None]
) -> Iterator[Bench]:
    """The samples, relayed once so that `raw` reads them from the topic, and a history in a database of its own."""
    say(f"writing {scale.samples:,} samples")
    ground.run_in_django("frame.samples", str(scale.samples))
    with closing(Outbox(ground.dsn)) as outbox:
        outbox.keep_samples()
    beside_history = ground.copy("beside_history")
    with closing(Outbox(ground.dsn)) as outbox, closing(Outbox(beside_history.dsn)) as outbox_with_history:
        say(f"writing {scale.history_thousands * 1_000:,} published records, and waiting for autovacuum to see them")
        outbox_with_history.add_history(scale.history_thousands)
        outbox_with_history.wait_for_autovacuum()
        say("relaying the samples once")
        drain(ground, outbox, times=1)
        yield Bench(scale, ground, outbox, beside_history, outbox_with_history, chosen_peers)
