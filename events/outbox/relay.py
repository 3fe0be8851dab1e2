"""The relay's loop: follow the shards that are ours, drive the pipeline, wait where there is nothing to do.

Before it stands `publish`, which wrote the records; after it Kafka and whoever consumes. A record may arrive twice and
never not at all. An outage burns no attempt; a record that the broker refuses holds back its own key only.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from events import observe
from events.backoff import Backoff
from events.conf import EventsSettings
from events.errors import Transient
from events.kafka import BrokersAway
from events.outbox.pipeline import Pipeline
from events.outbox.session import DatabaseAway
from events.outbox.shards import Shards
from events.outbox.store import SHARDS
from events.outbox.wakeup import Wakeup
from events.probes import Health
from events.stop import Stop

BATCH = 1_000  # records a read
AFTER_OUTAGE = Backoff(first_s=0.1, most_s=2.0)
_LOOK_WITHIN_S = 0.02
_SHARE_OF_STOP = 0.7  # of the time to stop in: for what is on its way; the rest is room for the process to end


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """When to end without being asked: `once` all that can be sent now is, or when nothing is pending (`drained`)."""

    once: bool = False
    drained: bool = False


class Relay:
    """One process's relay, to be run once."""

    def __init__(
        self,
        *,
        settings: EventsSettings,
        health: Health,
        check_table: Callable[[], object] = lambda: None,
        shards: int = SHARDS,
        batch: int = BATCH,
    ) -> None:
        """`check_table` is asked before all else; what it raises ends `run`, but for DatabaseAway."""
        self._health = health
        self._check_table = check_table
        self._drain_within_s = settings.stop_within_s * _SHARE_OF_STOP
        self._shards = Shards(settings.database_direct_url, most=shards)
        self._wakeup = Wakeup(
            settings.database_direct_url, notify=settings.outbox_notify, owned=lambda: self._shards.owned
        )
        self._pipeline = Pipeline(settings, batch=batch, is_fresh=self._is_ours)
        self._epoch = 0  # of the records in hand; 0: none are
        self._missing: str | None = None
        self._outages = 0
        self._is_started = self._is_prepared = False
        self._told: int | None = None  # how many shards the log was told of

    def run(self, stop: Stop, *, until: Until = Until()) -> None:
        """Relay until asked to stop. Raises Permanent: the database's address leads to a transaction pooler."""
        try:
            while not stop.is_asked:
                if self._round(stop):
                    continue
                if self._is_over(until):
                    break
                self._wakeup.wait(stop, look_again=self._look_again)
            self._drain()
        finally:
            self._pipeline.close()
            self._wakeup.close()
            self._shards.close()

    def _is_ours(self) -> bool:
        return self._shards.is_fresh and self._shards.epoch == self._epoch

    def _round(self, stop: Stop) -> bool:
        """Once round; gives whether there was something to do."""
        self._shards.stamp()
        try:
            self._begin()
            is_busy = self._work()
        except BrokersAway:
            return self._wait_for("kafka", stop)
        except DatabaseAway:
            return self._wait_for("database", stop)
        if is_busy:
            self._wakeup.worked()
        else:
            self._all_is_there()
        self._health.went_round(missing="kafka" if self._pipeline.is_stalled else self._missing)
        return is_busy

    def _begin(self) -> None:
        """Join the others, and connect before the first record comes: it must not wait for that."""
        if not self._is_started:
            self._check_table()
            self._shards.start()
            self._is_started = True
        if not self._is_prepared:
            self._pipeline.prepare()
            self._is_prepared = True

    def _work(self) -> bool:
        mine = self._follow_shards()
        has_read = bool(mine) and self._pipeline.read(mine)
        self._pipeline.send()
        if self._pipeline.collect():
            self._all_is_there()
        self._pipeline.mark()
        return has_read or not self._pipeline.is_empty

    def _follow_shards(self) -> frozenset[int]:
        """What to read now. Of what was lost nothing more is sent; of what was given up, what is on its way arrives."""
        epoch = self._shards.epoch  # first: with shards of another epoch than this one's nothing may be sent
        mine = self._shards.owned
        if epoch != self._epoch or not self._shards.is_fresh:
            self._pipeline.start_over()
            self._epoch = epoch
        if len(mine) != self._told:
            self._told = len(mine)
            observe.record_owning(shards=len(mine))
        if leaving := self._shards.leaving:
            self._pipeline.leave(leaving)
            self._shards.release(leaving - self._pipeline.shards)
        return mine - leaving

    def _look_again(self) -> bool:
        try:
            return self._pipeline.read(self._follow_shards())
        except DatabaseAway:
            return True  # and the next round will say so

    def _is_over(self, until: Until) -> bool:
        """Asked when there is nothing to do."""
        if not self._shards.owned:
            return False
        return until.once or (until.drained and self._pipeline.is_outbox_empty())

    def _all_is_there(self) -> None:
        self._missing, self._outages = None, 0

    def _wait_for(self, part: str, stop: Stop) -> bool:
        """Back off from an outage, which burns no attempt. The session of the lock outlives the longest wait."""
        self._missing, self._outages = part, self._outages + 1
        wait_s = AFTER_OUTAGE.wait_s(self._outages)
        observe.record_waiting(part=part, wait_s=wait_s)
        self._health.went_round(missing=part)
        stop.wait(wait_s)
        return True

    def _drain(self) -> None:
        """Send nothing more; wait, within a limit, for what is on its way, and have it marked."""
        deadline = time.monotonic() + self._drain_within_s
        while self._pipeline.is_under_way and time.monotonic() < deadline:
            self._shards.stamp()
            try:
                self._follow_shards()
                self._pipeline.collect(will_read=False)
                self._pipeline.mark()
            except Transient:
                time.sleep(_LOOK_WITHIN_S)
