"""Kill relays, the broker and PostgreSQL at random under load, then let the ledger judge: `make chaos`.

`python -m benchmarks chaos [--quick] [--kills N] [--seed N]`, on parts of its own. SIGKILL each time: of one of two
relays, of the broker, or of the postmaster with all its children; what was killed is started again at once. Exit code
1 when anything was lost, reordered, changed, or came twice without having been on its way at a kill.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from kafka.admin import KafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # ships no types

from benchmarks.report import Report
from devstack import Stack, stack
from devstack.places import CHECKOUT
from tests.faults.fleet import Fleet, Process, environment
from tests.faults.ledger import Fault, Verdict, create_ledger, judge, read_kafka, read_ledger

_KILLS, _KILLS_QUICK = 200, 12
_GAP_S = (2.0, 5.0)
_TOPIC = "chaos"
_VICTIMS = ("relay", "relay", "broker", "postgresql")  # as often as they stand here
_FLOWS_AGAIN_S = 60.0
_SETTLES_WITHIN_S = 1.0  # after records flow again
_TELL_EVERY = 10


@dataclass
class Chaos:
    """One run: the processes, and what was killed when."""

    parts: Stack
    fleet: Fleet
    chance: random.Random
    relays: list[Process] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    recovered_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def run(self, kills: int) -> None:
        """All of it, up to the empty outbox."""
        began = time.monotonic()
        writer = self.fleet.writer()
        self.relays = [self.fleet.relay() for _ in range(2)]
        self.fleet.wait_for_more(500)
        for n in range(1, kills + 1):
            self._kill(self.chance.choice(_VICTIMS))
            if n % _TELL_EVERY == 0:
                print(f"{n} kills, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        writer.terminate()
        self.fleet.wait_until_drained(within_s=_FLOWS_AGAIN_S)

    def _kill(self, victim: str) -> None:
        at, began = time.time(), time.monotonic()
        {"relay": self._kill_relay, "broker": self._kill_broker, "postgresql": self._kill_postgresql}[victim]()
        self.fleet.wait_for_more(1, within_s=_FLOWS_AGAIN_S)
        self.recovered_s[victim].append(time.monotonic() - began)
        self.faults.append(Fault(at, time.time() + _SETTLES_WITHIN_S))
        gap_until = time.monotonic() + self.chance.uniform(*_GAP_S)
        self.fleet.wait(lambda: time.monotonic() > gap_until)

    def _kill_relay(self) -> None:
        killed = self.relays.pop(self.chance.randrange(len(self.relays)))
        killed.kill()
        self.relays.append(self.fleet.relay())

    def _kill_broker(self) -> None:
        self.parts.kafka.kill()
        self.parts.kafka.start()

    def _kill_postgresql(self) -> None:
        self.parts.postgres.kill()
        self.parts.postgres.start()


def main(argv: list[str]) -> int:
    """Run, report, and give the exit code."""
    options = _options(argv)
    with (
        tempfile.TemporaryDirectory() as folder,
        stack(f"chaos-{os.getpid()}", fresh=True, given={}) as parts,
        Fleet(environ=_prepared(parts), folder=Path(folder)) as fleet,
    ):
        chaos = Chaos(parts, fleet, random.Random(options.seed))  # noqa: S311 - a choice of victims, not a secret
        began = time.monotonic()
        chaos.run(options.kills)
        seconds = time.monotonic() - began
        verdict = judge(
            read_ledger(fleet.database_url), read_kafka(brokers=parts.environ["KAFKA_BROKERS"], topic=_TOPIC)
        )
        report = _report(chaos, verdict, seed=options.seed, seconds=seconds)
        report.publish(name="chaos", environ=parts.environ)
    return int(_is_broken(chaos, verdict))


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks chaos", description="Kill at random under load.")
    parser.add_argument("--quick", action="store_true", help=f"{_KILLS_QUICK} kills")
    parser.add_argument("--kills", type=int, help=f"how many; default {_KILLS}")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the choice of victims")  # noqa: S311 - likewise
    options = parser.parse_args(argv)
    options.kills = options.kills or (_KILLS_QUICK if options.quick else _KILLS)
    return options


def _prepared(parts: Stack) -> dict[str, str]:
    """Tables, topic and ledger, and the environment of the processes."""
    with closing(KafkaAdminClient(bootstrap_servers=parts.environ["KAFKA_BROKERS"])) as admin:
        admin.create_topics([NewTopic(_TOPIC, 3, 1)])
    url = parts.environ["DATABASE_URL"]
    environ = parts.environ | environment(database_url=url, topic=_TOPIC, brokers=parts.environ["KAFKA_BROKERS"])
    command = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"]
    subprocess.run(command, cwd=CHECKOUT, env=os.environ | environ, check=True)
    create_ledger(url)
    return environ


def _is_broken(chaos: Chaos, verdict: Verdict) -> bool:
    return bool(verdict.wrong) or bool(verdict.unexplained(chaos.faults))


def _report(chaos: Chaos, verdict: Verdict, *, seed: int, seconds: float) -> Report:
    figures = {
        "kills": sum(map(len, chaos.recovered_s.values())),
        **verdict.figures,
        "unexplained": len(verdict.unexplained(chaos.faults)),
        "seconds": round(seconds),
        "seed": seed,
    }
    return Report(
        title="SIGKILL at random under load",
        columns=("killed", "times", "records flow again after, median s", "worst s"),
        rows=[(victim, len(took), median(took), max(took)) for victim, took in sorted(chaos.recovered_s.items())],
        figures=figures,
        notes=(_told(figures),),
    )


def _told(figures: Mapping[str, object]) -> str:
    return (
        "{written:,} events were committed by three writers on 20 keys; the topic holds {delivered:,} records."
        " Lost: {lost}. First deliveries out of order within their key: {reordered}. Changed: {corrupted}."
        " Never committed: {unwritten}. Came twice: {duplicates}, of which {unexplained} had not been on their way"
        " at a kill. The run took {seconds} s; seed {seed}."
    ).format(**figures)
