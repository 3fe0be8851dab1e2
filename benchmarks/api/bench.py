"""Everything laid for a run, and each variant as something to call: `run` does so in turn and sums up.

Web processes, each on a database of its own: one with a relay that keeps up; and, idle but for their own turns, one
whose outbox is far behind, one where changes are published and no relay takes them, one where they are not published,
and one with a crowd of users to list.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.api import backlog, crowd
from benchmarks.api.crowd import Crowd
from benchmarks.api.names import (
    BACKLOG,
    CHANGES,
    KAFKA_DOWN,
    LISTS,
    LOGIN,
    PATCH,
    PATCH_BARE,
    PATCH_RELAYED,
    REFRESH,
    REGISTRATIONS,
)
from benchmarks.api.people import CONNECTIONS, refresh_tokens, requests
from benchmarks.api.places import Place, place, without_triggers
from benchmarks.api.plan import Found, Plan
from benchmarks.frame.figures import percentile
from benchmarks.frame.ground import Ground
from benchmarks.frame.http import request
from benchmarks.frame.relays import relays
from benchmarks.frame.serving import serving
from benchmarks.frame.waiting import wait_for
from benchmarks.frame.web import call, serving_web
from devstack import Stack, ports

NAME, TOPIC, PARTITIONS = "benchmark-api", "benchmark.api", 3

_CARRIED_WITHIN_S = 60.0
_ANSWERS_WITHIN_S = 30.0


class WrongOutcome(Exception):
    """A variant was not what it is measured for; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: for `seconds` what hashes no password, for `hashing_seconds` what does."""

    rounds: int
    warm_s: float
    seconds: float
    hashing_seconds: float
    samples: int
    times: int  # a backlog is so many times the samples
    pages: int  # of users to list, and one more

    @property
    def backlog(self) -> int:
        """Pending records."""
        return self.samples * self.times

    @property
    def users(self) -> int:
        """Users to list."""
        return (self.pages + 1) * crowd.PAGE


@dataclass(frozen=True, slots=True)
class Answered:
    """One variant's turn: answers a second, what 99 of 100 took at most, and the cores that asking took.

    An `unavailable` one (503) does not count for the rate, but for the time that one had to wait for it.
    """

    per_s: float
    p99_ms: float
    load_cores: float
    unavailable: int


@dataclass(frozen=True, slots=True)
class Bench:
    """What is called here is measured."""

    scale: Scale
    parts: Stack
    here: Place
    behind: Place
    published: Place
    unpublished: Place
    crowd: Crowd

    def measure(self, variant: str) -> Answered:
        """Raises CalledProcessError for a wrong answer, WrongOutcome."""
        if variant in (KAFKA_DOWN, BACKLOG):
            with self._without_kafka():
                return self._register_behind() if variant == BACKLOG else self._register_in_vain()
        if variant in CHANGES:
            return self._change(variant)
        if variant in LISTS:
            asked = [self.crowd.request(variant)] * CONNECTIONS
            return self._ask(asked, self.crowd.port, expect=200, seconds=self.scale.seconds)
        tokens = refresh_tokens(self.here.port, self.here.who) if variant == REFRESH else []
        return self._load(variant, self.here, tokens)

    def measure_alone(self) -> Answered:
        """The load by itself, against what answers without a thought."""
        port = ports.free()
        responder = self.here.ground.start("-m", "benchmarks.api.responder", str(port))
        try:
            wait_for(lambda: not ports.is_free(port), within_s=_ANSWERS_WITHIN_S)
            return self._ask([request("GET", "/")] * CONNECTIONS, port, expect=200, seconds=self.scale.seconds)
        finally:
            responder.terminate()
            responder.wait()

    def _change(self, variant: str) -> Answered:
        where = {PATCH: self.published, PATCH_BARE: self.unpublished, PATCH_RELAYED: self.here}[variant]
        before = where.written()
        answered = self._load(variant, where)
        written = where.written().since(before)
        if not written.changes or written.events != (0 if variant == PATCH_BARE else written.changes):
            raise WrongOutcome(f"{variant}: {written}")
        self._catch_up()  # the next turn has the cores to itself
        return answered

    def _register_in_vain(self) -> Answered:
        answered = self._load(KAFKA_DOWN, self.here)
        if not backlog.pending(self.here.ground):
            raise WrongOutcome(f"{KAFKA_DOWN}: everything was sent")
        return answered

    def _register_behind(self) -> Answered:
        # A relay that has never seen Kafka: with one, so many records would not stay pending.
        with serving(self.behind.ground, "manage.py", "relay_outbox") as relay:
            wait_for(lambda: _is_alive(relay.port), within_s=_ANSWERS_WITHIN_S)
            answered = self._load(BACKLOG, self.behind)
        if backlog.pending(self.behind.ground) < self.scale.backlog:
            raise WrongOutcome(f"{BACKLOG}: some of it was sent")
        return answered

    @contextmanager
    def _without_kafka(self) -> Iterator[None]:
        """Afterwards the broker is back, and the relay has caught up."""
        self.parts.kafka.stop()
        try:
            yield
        finally:
            self.parts.kafka.start()
        self._catch_up()

    def _catch_up(self) -> None:
        wait_for(lambda: not backlog.pending(self.here.ground), within_s=_CARRIED_WITHIN_S)

    def _load(self, variant: str, where: Place, tokens: Sequence[str] = ()) -> Answered:
        expect = 201 if variant in REGISTRATIONS else 200
        hashes = variant in (LOGIN, *REGISTRATIONS)
        seconds = self.scale.hashing_seconds if hashes else self.scale.seconds
        return self._ask(requests(variant, where.who), where.port, expect=expect, seconds=seconds, tokens=tokens)

    def _ask(
        self, asked: Sequence[bytes], port: int, *, expect: int, seconds: float, tokens: Sequence[str] = ()
    ) -> Answered:
        texts = [content.decode() for content in asked]
        plan = Plan(
            port=port, requests=texts, expect=expect, warm_s=self.scale.warm_s, seconds=seconds, tokens=list(tokens)
        )
        with TemporaryDirectory() as folder:
            file = Path(folder, "plan.json")
            file.write_text(json.dumps(asdict(plan)))
            found = Found(**json.loads(self.here.ground.run("-m", "benchmarks.api.load", str(file))))
        done = len(found.took_ms) - found.unavailable
        return Answered(done / seconds, percentile(found.took_ms, 0.99), found.cpu_seconds / seconds, found.unavailable)


@contextmanager
def prepared(here: Ground, parts: Stack, scale: Scale) -> Iterator[Bench]:
    """All databases and their web processes, a relay, people who are signed in, and a crowd."""
    behind, published, unpublished, crowded = map(here.copy, ("behind", "published", "unpublished", "crowded"))
    backlog.fill(behind, samples=scale.samples, times=scale.times)
    with ExitStack() as running:
        running.enter_context(relays(here, processes=1))
        port = running.enter_context(serving_web(crowded))
        yield Bench(
            scale=scale,
            parts=parts,
            here=running.enter_context(place(here, DJANGO_SETTINGS_MODULE="benchmarks.api.settings")),
            behind=Place(behind, running.enter_context(serving_web(behind))),
            published=running.enter_context(place(published)),
            unpublished=running.enter_context(
                place(without_triggers(unpublished), DJANGO_SETTINGS_MODULE="benchmarks.api.settings_unpublished")
            ),
            crowd=crowd.gather(crowded.dsn, port, pages=scale.pages),
        )


def _is_alive(port: int) -> bool:
    try:
        return bool(call(port, "GET", "/healthz"))
    except OSError:
        return False
