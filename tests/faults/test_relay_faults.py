"""Two relays under faults and load: all arrives, each key in order, and twice only what was on its way.

The ledger judges. Whether the second relay shares the work or stands by: each test holds for both.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

import psycopg
import pytest
from django.db import connection, transaction

from devstack import Stack
from events.outbox.store import SHARDS
from tests.faults.fleet import Fleet, Process
from tests.faults.ledger import Fault, Verdict
from tests.faults.proxy import in_front_of
from tests.faults.writer import KEYS, fact, publish_and_note

pytestmark = pytest.mark.django_db(transaction=True)

WINDOW = 2_000  # what one relay has read and not yet marked, at most
HANGS_MOST_S = 60.0  # 10 s, more where looks are slow
GONE_WITHIN_S = 15.0  # half a second, and room for a busy machine; a mark by itself waits for 30 s
_WAITING = """
select count(*) from pg_stat_activity
where application_name = %s and wait_event_type = 'Lock' and query like '%%set published_at%%'
"""
SHORT = {"KAFKA_PRODUCER_DELIVERY_TIMEOUT_MS": "2000"}


class Scene:
    """Two relays and a load, what was broken when, and the judgement at the end."""

    def __init__(self, fleet: Fleet, verdict: Callable[[], Verdict]) -> None:
        self.fleet = fleet
        self._verdict = verdict
        self._writer: Process | None = None
        self._faults: list[Fault] = []

    def begins(
        self,
        first: dict[str, str] | None = None,
        second: dict[str, str] | None = None,
        *,
        start: Callable[..., Process] | None = None,
    ) -> list[Process]:
        """The relays, with environments of their own, at work."""
        self._writer = self.fleet.writer()
        relays = [(start or self._relay)(**(environ or {})) for environ in (first, second)]
        for relay in relays:
            self.fleet.wait(partial(self.fleet.has_session, relay))
        self.goes_on()
        return relays

    def another(self, **environ: str) -> Process:
        """One more relay, which has arrived."""
        relay = self._relay(**environ)
        self.fleet.wait(lambda: self.fleet.has_session(relay))
        self.goes_on()
        return relay

    def _relay(self, **environ: str) -> Process:
        return self.fleet.relay(OUTBOX_WINDOW=str(WINDOW), **environ)

    def goes_on(self, records: int = 100) -> None:
        self.fleet.wait_for_more(records)

    @contextmanager
    def fault(self, *, recovers_within_s: float = 0) -> Iterator[None]:
        """Something is broken for as long as the block takes, and what it broke for so long after it."""
        since = time.time()
        yield
        self._faults.append(Fault(since, time.time() + recovers_within_s))

    def ends_well(self, *, copies_most: int = WINDOW) -> None:
        """The load stops, the outbox drains, and the judge is content."""
        assert self._writer
        assert self._writer.terminate() == 0
        self.fleet.wait_until_drained()
        verdict = self._verdict()
        assert verdict.written > 200
        assert verdict.unexplained(self._faults) == []
        assert verdict.figures["duplicates"] <= copies_most
        assert self.fleet.dead() == 0


def owning(relay: Process) -> list[int]:
    """How many shards it said it owns, from its beginning."""
    lines = [line.partition(": ")[2] for line in relay.last_lines(sys.maxsize) if '"relay owns"' in line]
    return [json.loads(line)["shards"] for line in lines]


@pytest.fixture
def scene(fleet: Fleet, verdict: Callable[[], Verdict]) -> Scene:
    return Scene(fleet, verdict)


def test_a_relay_is_killed_and_one_that_goes_by_sigterm_sends_nothing_twice(scene: Scene) -> None:
    killed, stopped = scene.begins()
    with scene.fault(recovers_within_s=1):
        killed.kill()
    scene.another()
    assert stopped.terminate() == 0  # no fault explains a second copy of what was on its way now
    scene.another()
    scene.ends_well()


def test_a_relay_that_is_killed_while_its_mark_waits_for_a_row_leaves_neither_shards_nor_session(
    fleet: Fleet, verdict: Callable[[], Verdict]
) -> None:
    publish_some()
    with closing(psycopg.connect(fleet.database_url)) as other:
        other.execute("select from events_outbox order by id limit 1 for update")
        killed = fleet.relay()
        fleet.wait(lambda: waiting_for_a_row(killed))
        heir = fleet.relay()
        fleet.wait(lambda: any(owning(heir)))  # it has joined; what waits to be marked is still the other's
        killed.kill()
        fleet.wait(lambda: not fleet.has_session(killed), within_s=GONE_WITHIN_S)
        fleet.wait(lambda: owning(heir)[-1] == SHARDS, within_s=GONE_WITHIN_S)
        publish_some()
        assert fleet.pending() > KEYS
        other.rollback()
    fleet.wait_until_drained()
    figures = verdict().figures
    assert figures["written"] == 2 * KEYS
    assert figures["duplicates"] <= KEYS  # what was on its way to be marked
    assert fleet.dead() == 0
    assert heir.terminate() == 0


def publish_some() -> None:
    """One event of each key, and of it in the ledger."""
    with transaction.atomic():
        publish_and_note([fact(f"key-{n}") for n in range(KEYS)])


def waiting_for_a_row(relay: Process) -> bool:
    """Whether a mark of the relay does."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [relay.name])
        return bool(cursor.fetchone()[0])


def test_relays_that_are_paused_again_and_again_lose_nothing_and_keep_the_order(scene: Scene, parts: Stack) -> None:
    chance = random.Random(11)  # noqa: S311 - chance, not a secret
    relays = scene.begins(SHORT, SHORT)
    with scene.fault(recovers_within_s=5):
        for _ in range(6):
            relay = chance.choice(relays)
            relay.pause()
            time.sleep(chance.uniform(0.02, 0.5))  # waits for nothing: it is the fault itself
            relay.resume()
            time.sleep(chance.uniform(0.02, 0.2))  # nor does this: it is the time between two faults
        pause_for_longer_than_a_delivery_may_take(scene, parts, *relays)
    scene.goes_on()
    scene.ends_well(copies_most=4 * WINDOW)


def pause_for_longer_than_a_delivery_may_take(scene: Scene, parts: Stack, sleeper: Process, other: Process) -> None:
    """It falls asleep with records on their way, and finds on waking that they are overdue and another's."""
    said = len(owning(sleeper))
    parts.kafka.pause()
    scene.fleet.wait_until_pending(150)
    sleeper.pause()
    parts.kafka.resume()
    owed = scene.fleet.newest()
    until = time.monotonic() + 6
    scene.fleet.wait(lambda: owning(other)[-1] == SHARDS and time.monotonic() > until)
    scene.fleet.wait(lambda: scene.fleet.pending(up_to=owed) == 0)
    sleeper.resume()
    scene.fleet.wait(lambda: owning(sleeper)[said:][-1:] == [SHARDS // 2])


def test_a_relay_sleeps_with_a_full_window_and_wakes_when_another_has_its_keys(scene: Scene, parts: Stack) -> None:
    relay, _ = scene.begins()
    with scene.fault(recovers_within_s=5):
        parts.kafka.pause()
        backlog = scene.fleet.writer(events_most=200, per_s=100)
        scene.fleet.wait_until_pending(1_500)
        backlog.terminate()
        relay.pause()
        parts.kafka.resume()
        scene.fleet.wait(lambda: scene.fleet.pending() < WINDOW // 10)
        relay.resume()
    scene.goes_on()
    scene.ends_well()


def test_postgresql_is_killed(scene: Scene, parts: Stack) -> None:
    scene.begins()
    with scene.fault(recovers_within_s=5):
        parts.postgres.kill()
        parts.postgres.start()
    scene.goes_on(200)
    scene.ends_well(copies_most=2 * WINDOW)


def test_the_connection_that_reads_is_half_open(scene: Scene, parts: Stack) -> None:
    with in_front_of(parts.postgres) as proxy:
        url = proxy.url(scene.fleet.database_url)
        stuck, _ = scene.begins({"DATABASE_URL": url, "DATABASE_DIRECT_URL": url}, start=scene.fleet.impatient_relay)
        stuck.may_end()
        reading = scene.fleet.reading_port(stuck)
        with scene.fault(recovers_within_s=5):
            proxy.half_open_only(reading)
            scene.fleet.wait_until_pending(300)  # its share waits, while it still has it
            owed = scene.fleet.newest()
            scene.fleet.wait(lambda: scene.fleet.pending(up_to=owed) == 0)  # the other one has taken all over
            proxy.heal()
        scene.goes_on()
        scene.ends_well()


def test_a_relay_that_hangs_ends_itself_and_one_that_was_paused_for_as_long_does_not(
    scene: Scene, parts: Stack
) -> None:
    with in_front_of(parts.postgres) as proxy:
        url = proxy.url(scene.fleet.database_url)
        behind = {"DATABASE_URL": url, "DATABASE_DIRECT_URL": url}
        hanging, paused = scene.begins(behind, start=scene.fleet.impatient_relay)
        scene.another()
        hanging.may_end()
        reading = scene.fleet.reading_port(hanging)
        with scene.fault(recovers_within_s=5):
            said = len(owning(paused))
            paused.pause()
            proxy.half_open_only(reading)
            scene.fleet.wait(lambda: not hanging.is_alive, within_s=HANGS_MOST_S)
            paused.resume()
            scene.fleet.wait(lambda: owning(paused)[said:][-1:] == [32])  # half of all is its again
        assert hanging.terminate() == 70  # its own code, from before
        assert hanging.has_said('"level": "CRITICAL"')
        assert hanging.has_said('"event": "main loop hangs"')
        scene.goes_on()
        scene.ends_well(copies_most=2 * WINDOW)
        assert paused.terminate() == 0


def test_the_relays_are_cut_off_from_kafka(scene: Scene, parts: Stack) -> None:
    with in_front_of(parts.kafka) as proxy:
        behind = {"KAFKA_BROKERS": proxy.address, **SHORT}
        scene.begins(behind, behind)
        for fault, holds_up in ((proxy.cut, 0), (proxy.refuse, 300), (proxy.half_open, 800)):
            with scene.fault(recovers_within_s=5):
                fault()
                scene.fleet.wait_until_pending(holds_up)
                proxy.heal()
            scene.goes_on()
        scene.ends_well(copies_most=6 * WINDOW)
