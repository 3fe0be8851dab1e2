"""Consumers of the fleet's topic under load: who comes and goes, what they have done, and whether it was right.

The events come the whole way, from the writer's transaction through outbox, relay and Kafka.
"""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.faults import effects
from tests.faults.fleet import Fleet, Process

_LIMIT_S = 90.0  # a busy machine takes long to start so many
# Small batches, so that faults come between two; the least session the broker takes; rebalances seen soon.
QUICK = {
    "KAFKA_CONSUMER_BATCH": "20",
    "KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "6000",
    "KAFKA_CONSUMER_HEARTBEAT_MS": "300",
}
_COMMAND = """
import manage
from django.conf import settings
settings.EVENTS["ROUTES"] = "tests.faults.effects.ROUTES"
{}
manage.main()
"""
# Ends itself soon after a hang, but not while a paused member's transaction, before PostgreSQL ends it, holds it up.
QUICK_TO_END = "from events.inbox import watchdog; watchdog._LOOKS_MOST = 8"
# Takes PostgreSQL for gone after 3 s without an answer.
QUICK_TO_DOUBT = """
from events.inbox import session
session._MARGIN_S = 1.0
settings.DATABASES["default"]["OPTIONS"]["options"] += " -c statement_timeout=2s"
"""


@dataclass(frozen=True, slots=True)
class Member:
    """One `consume_events` process; faults of its handler are files in its folder."""

    process: Process
    port: int
    folder: Path

    def missing(self) -> str | None:
        """What /readyz says is missing; None when it is ready."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return None
        except urllib.error.HTTPError as refused:
            with refused:
                return str(json.load(refused)["failing"][0])
        except OSError:
            return "process"

    def breaks(self, fault: str) -> None:
        """From now on: `away`, or once: `hang`."""
        (self.folder / fault).touch()

    def heals(self, fault: str) -> None:
        (self.folder / fault).unlink(missing_ok=True)


class Group:
    """The members of one consumer group, and the load that they share."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.fleet = fleet
        self._folder = folder
        self._writer: Process | None = None

    def begins(self, *starts: Callable[[], Member]) -> list[Member]:
        """The load, its relay and these members, each at work."""
        self._writer = self.fleet.writer(threads=2, per_s=6)
        self.fleet.relay()
        members = [start() for start in starts]
        for member in members:
            self.works(member)
        return members

    def member(self, twist: str = "", **environ: str) -> Member:
        """Started, no more; `twist` is Python that its process runs first."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        folder = self._folder / f"member-{port}"
        folder.mkdir()
        process = self.fleet.consumer(
            _COMMAND.format(twist), "--port", str(port), **{**QUICK, **environ, "EFFECTS_FOLDER": str(folder)}
        )
        return Member(process, port, folder)

    def works(self, *members: Member, effects: int = 10) -> None:
        """Returns when each of these has handled so many events more, and says that it is ready."""
        for member in members:
            has_more = partial(self._has_effects, member, self._effects_of(member) + effects)
            self.fleet.wait(has_more, within_s=_LIMIT_S)
            self.misses(member, None)

    def misses(self, member: Member, part: str | None) -> None:
        """Returns when /readyz says so; None: when the member is ready."""
        self.fleet.wait(lambda: member.missing() == part, within_s=_LIMIT_S)

    @contextmanager
    def standing_in_its_transaction(self, member: Member) -> Iterator[None]:
        """The member is inside a handler, whose statement ends when the block does."""
        with effects.gate_closed(self.fleet.database_url):
            self.fleet.wait(lambda: self._waits_at_gate(member))
            yield

    def handles_what_is_there(self, *, within_s: float = _LIMIT_S) -> None:
        """Returns when each event that the ledger has now has its effect."""
        owed = self.fleet.ask("select count(*) from ledger")
        self.fleet.wait(lambda: self.fleet.ask("select count(*) from effects") >= owed, within_s=within_s)

    def ends_well(self) -> None:
        """The load stops, all of it is handled, each event once and in its key's order, and nothing was set aside."""
        assert self._writer
        assert self._writer.terminate() == 0
        self.fleet.wait_until_drained()
        self.handles_what_is_there()
        assert effects.figures(self.fleet.database_url) == {"lost": 0, "doubled": 0, "reordered": 0}
        assert self.fleet.ask("select count(*) from events_parked") == 0

    def _effects_of(self, member: Member) -> int:
        return self.fleet.ask("select count(*) from effects where member = %s", member.process.name)

    def _has_effects(self, member: Member, effects: int) -> bool:
        return self._effects_of(member) >= effects

    def _waits_at_gate(self, member: Member) -> int:
        return self.fleet.ask(
            "select count(*) from pg_stat_activity where application_name = %s and wait_event_type = 'Lock'",
            member.process.name,
        )
