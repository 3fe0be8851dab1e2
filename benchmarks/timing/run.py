"""What is measured, and in which order: pair after pair, each against users and a worker that are there beforehand.

`ask` takes the times, `equality` compares them, `told` makes the report.
"""

import argparse
import gc
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psycopg

from benchmarks.frame.ground import Ground, ground
from benchmarks.frame.serving import started
from benchmarks.frame.waiting import wait_for
from benchmarks.frame.web import serving_web
from benchmarks.timing.ask import times_ms
from benchmarks.timing.equality import Equality, compare
from benchmarks.timing.pairs import PAIRS, Pair
from benchmarks.timing.people import make_people
from benchmarks.timing.told import report

_SETTLED_WITHIN_S = 180.0
_OWED = """
select count(*) from accounts_outsidecall where settled_at is null and failed_at is null
union all select count(*) from accounts_pendingregistration
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: samples of either class of a pair, after `warm` ones."""

    samples: int
    warm: int


_FULL = Scale(samples=400, warm=20)
_QUICK = Scale(samples=100, warm=10)


def main(arguments: list[str]) -> int:
    """Measure and report; 0. A quick run's table is not kept."""
    options = _parser().parse_args(arguments)
    scale = _QUICK if options.quick else _FULL
    chance = random.Random(options.seed)  # noqa: S311 - an order, not a secret
    with ground("benchmark-timing", topic="benchmark.timing", partitions=1) as here, _web(here) as ports:
        found = {}
        for pair in PAIRS:
            found[pair.name] = _measure(here, ports[pair.is_hidden], pair, scale, chance)
            _say(f"{pair.title}: AUC {found[pair.name].auc:.3f}, {found[pair.name].apart_ms:+.2f} ms")
        told = report(found, samples=scale.samples, warm=scale.warm, seed=options.seed)
        told.publish(name="timing", environ=here.environ, keep=not options.quick)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks timing")
    parser.add_argument("--quick", action="store_true", help="too few samples to judge by, in a minute or two")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the order")  # noqa: S311 - likewise
    return parser


def _measure(here: Ground, port: int, pair: Pair, scale: Scale, chance: random.Random) -> Equality:
    gc.collect()
    gc.disable()
    try:
        ones, others = times_ms(port, pair, samples=scale.samples, warm=scale.warm, chance=chance)
    finally:
        gc.enable()
    _wait_until_settled(here)
    return compare(ones, others)


@contextmanager
def _web(here: Ground) -> Iterator[Mapping[bool, int]]:
    """The ports of a web process that reveals taken addresses and of one that does not; a worker beside them."""
    with ExitStack() as running:
        revealing = running.enter_context(serving_web(here))
        hiding = running.enter_context(serving_web(here, REGISTRATION_REVEALS_EMAIL="off"))
        # What sends the mails; nobody waits for it, but it may be what gives a difference away.
        running.enter_context(started(here, "-m", "celery", "-A", "usercenter", "worker"))
        make_people(here, revealing)
        yield {False: revealing, True: hiding}


def _wait_until_settled(here: Ground) -> None:
    """Until the worker is idle, so that it does not disturb the next pair. Raises TimeoutError."""
    with psycopg.connect(here.dsn, autocommit=True) as session:
        wait_for(lambda: not any(row[0] for row in session.execute(_OWED)), within_s=_SETTLED_WITHIN_S, every_s=0.2)


def _say(text: str) -> None:
    print(f"benchmark: {text}", file=sys.stderr, flush=True)
