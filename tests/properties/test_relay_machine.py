"""Writers, relays, kills, pauses and outages in any order: in the end the ledger's rules hold.

Transactions overlap, commit late and roll back; each step is taken while relays work, without waiting for them.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

import pytest
from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    precondition,
    rule,
)

from devstack import Stack
from tests.faults.fleet import Fleet, Process
from tests.faults.ledger import Verdict
from tests.faults.proxy import Proxy, in_front_of
from tests.faults.writer import fact, publish_and_note
from tests.properties.machines import run_machine
from tests.properties.transactions import OpenTransaction

pytestmark = pytest.mark.django_db(transaction=True)

RELAYS_MOST = 2
KEYS = st.lists(st.sampled_from(["ann", "bob", "cid", "dot", "eve"]), min_size=1, max_size=4)


class World:
    """What an example acts on: the fleet, whose relays reach Kafka and PostgreSQL by way of proxies."""

    def __init__(self, fleet: Fleet, verdict: Callable[[], Verdict], proxies: dict[str, Proxy]) -> None:
        self.fleet, self.verdict, self.proxies = fleet, verdict, proxies
        url = proxies["postgres"].url(fleet.database_url)
        self._environ = {
            "DATABASE_URL": url,
            "DATABASE_DIRECT_URL": url,
            "KAFKA_BROKERS": proxies["kafka"].address,
            "KAFKA_PRODUCER_DELIVERY_TIMEOUT_MS": "1500",
        }

    def relay(self) -> Process:
        relay = self.fleet.relay(**self._environ)
        # A relay that cannot reach PostgreSQL when it starts may give up.
        relay.may_end()
        return relay

    def heal(self) -> None:
        for proxy in self.proxies.values():
            proxy.heal()


class RelayMachine(RuleBasedStateMachine):
    """One example."""

    world: ClassVar[World]
    open_transactions = Bundle("open_transactions")

    def __init__(self) -> None:
        super().__init__()
        self._open: list[OpenTransaction] = []
        self._running: list[Process] = []
        self._paused: list[Process] = []
        self._is_whole = True

    @initialize()
    def starts(self) -> None:
        self.start_relay()
        self.world.fleet.wait(partial(self.world.fleet.has_session, self._running[0]))

    @rule(keys=KEYS, times=st.integers(1, 20))
    def commits(self, keys: list[str], times: int) -> None:
        free = self._free(keys)
        for _ in range(times if free else 0):
            with transaction.atomic():
                publish_and_note([fact(key) for key in free])

    @rule(keys=KEYS, target=open_transactions)
    def begins(self, keys: list[str]) -> OpenTransaction:
        begun = OpenTransaction(self._free(keys))
        self._open.append(begun)
        return begun

    @rule(begun=consumes(open_transactions), commit=st.booleans())
    def ends(self, begun: OpenTransaction, *, commit: bool) -> None:
        self._open.remove(begun)
        begun.end(commit=commit)

    @precondition(lambda self: len(self._running) + len(self._paused) < RELAYS_MOST)
    @rule()
    def start_relay(self) -> None:
        self._running.append(self.world.relay())

    @precondition(lambda self: self._running)
    @rule()
    def kill_relay(self) -> None:
        self._running.pop(0).kill()

    @precondition(lambda self: self._running)
    @rule()
    def pause_relay(self) -> None:
        self._running[0].pause()
        self._paused.append(self._running.pop(0))

    @precondition(lambda self: self._paused)
    @rule()
    def resume_relay(self) -> None:
        self._paused[0].resume()
        self._running.append(self._paused.pop(0))

    @rule(part=st.sampled_from(["kafka", "postgres"]), fault=st.sampled_from(["cut", "refuse", "half_open"]))
    def breaks(self, part: str, fault: str) -> None:
        getattr(self.world.proxies[part], fault)()
        self._is_whole = False

    @rule()
    def heals(self) -> None:
        self.world.heal()
        self._is_whole = True

    @precondition(lambda self: self._running and not self._paused and self._is_whole)
    @rule(records=st.integers(1, 20))
    def some_arrive(self, records: int) -> None:
        """The next step finds the relays in the middle of their work."""
        self._replace_ended()
        fleet = self.world.fleet
        enough = fleet.published() + min(records, fleet.pending())
        fleet.wait(lambda: fleet.published() >= enough)

    @precondition(lambda self: self._running and not self._paused)
    @rule()
    def all_arrives(self) -> None:
        """Once nothing is broken, all that is committed so far; what is still open keeps nobody waiting."""
        self.heals()
        self._replace_ended()
        committed = self.world.fleet.newest()
        self.world.fleet.wait(lambda: self.world.fleet.pending(up_to=committed) == 0)

    def teardown(self) -> None:
        try:
            self._judge()
        finally:
            for relay in self._running + self._paused:
                relay.kill()

    def _judge(self) -> None:
        for begun in self._open:
            begun.end(commit=True)
        while self._paused:
            self.resume_relay()
        if not self._running:
            self.start_relay()
        self.all_arrives()
        self.world.verdict()

    def _free(self, keys: list[str]) -> list[str]:
        """Those that wait for nobody: this thread could not go on."""
        locked = {key for begun in self._open for key in begun.keys}
        return [key for key in keys if key not in locked]

    def _replace_ended(self) -> None:
        self._running = [relay if relay.is_alive else self.world.relay() for relay in self._running]


@pytest.fixture
def world(fleet: Fleet, verdict: Callable[[], Verdict], parts: Stack) -> Iterator[World]:
    with in_front_of(parts.kafka) as kafka, in_front_of(parts.postgres) as postgres:
        yield World(fleet, verdict, {"kafka": kafka, "postgres": postgres})


def test_nothing_is_lost_and_each_key_keeps_its_order_whatever_happens(world: World) -> None:
    machine = type("RelayMachine", (RelayMachine,), {"world": world})
    run_machine(machine, examples=5, steps=20)
