"""All deliveries of one batch, in one transaction: made, failed, or waiting behind one that failed.

`batch` runs them at once; where that fails, in a new transaction carefully, which finds who is to blame at the price of
some savepoints. Within a key a handler meets its events in order, or not at all. docs/decisions/parking.md.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction

from events.errors import Retryable
from events.inbox import store
from events.inbox.delivery import (
    LOOK_AFTER_MS,
    Done,
    Failed,
    Pair,
    PartAway,
    Undone,
    check,
    deliver,
    failure,
    is_last,
    make,
)  # fmt: skip
from events.inbox.store import Queue
from events.outbox.publish import Collected

_PAIRS_A_SAVEPOINT = 32

# What holds locks for longer is not worth having in one transaction; and the group waits for this member's next poll.
_TRANSACTION_MOST_MS = 15_000

Known = Mapping[tuple[str, UUID], Failed]


class TooSlow(Retryable):
    """The handlers of one transaction took too long, all together."""


@dataclass(slots=True)
class Deliveries:
    """What became of each pair. `blocked` are the handlers and keys that wait for something.

    `is_alone`: all pairs are of one event.
    """

    collected: Collected
    blocked: set[Queue]
    is_alone: bool = False
    done: list[Done] = field(default_factory=list)
    failed: list[tuple[Pair, Failed]] = field(default_factory=list)
    behind: list[Pair] = field(default_factory=list)
    _unlooked_ms: float = 0.0
    _taken_ms: float = 0.0

    def run_at_once(self, pairs: Sequence[Pair]) -> None:
        """Make all of them. Raises Undone, PartAway."""
        for call in _calls(pairs):
            free = self._free(call)
            if free:
                self._deliver(free)

    def run_carefully(self, pairs: Sequence[Pair], known: Known) -> None:
        """Make what can be made; `known` have failed already. Raises PartAway; Undone where the session is gone."""
        singles = [pair for pair in pairs if not pair.route.is_batch]
        if self.is_alone:
            self._run_one_by_one(singles, known)
            singles = []
        for start in range(0, len(singles), _PAIRS_A_SAVEPOINT):
            self._run_chunk(singles[start : start + _PAIRS_A_SAVEPOINT], known)
        for call in _calls([pair for pair in pairs if pair.route.is_batch]):
            self._run_halving(call, known)

    def _run_chunk(self, chunk: Sequence[Pair], known: Known) -> None:
        """Under one savepoint, again and again without what has failed; pair by pair where nobody can be named."""
        known = dict(known)
        while failing := self._fails_together(chunk, known):
            if failing.blamed is None:
                self._run_one_by_one(chunk, known)
                return
            known[failing.blamed.id] = failing.failed

    def _fails_together(self, chunk: Sequence[Pair], known: Known) -> Undone | None:
        before = _Mark(self)
        try:
            with transaction.atomic():
                for pair in chunk:
                    if not self._passes_by(pair, known):
                        self._deliver([pair])
                check(self.collected, is_alone=False)
        except PartAway:
            raise
        except Exception as error:  # noqa: BLE001 - a deferred constraint may raise anything
            undone = error if isinstance(error, Undone) else Undone(failure(error, chunk[0].route))
            if undone.failed.undoes_all:
                raise undone from undone.failed.error
            before.restore(self)
            return undone
        return None

    def _passes_by(self, pair: Pair, known: Known) -> bool:
        """Whether there is nothing to call: it waits behind another, or has failed before."""
        if pair.queue in self.blocked:
            self.behind.append(pair)
        elif pair.id in known:
            self._fail(pair, known[pair.id])
        else:
            return False
        return True

    def _deliver(self, pairs: Sequence[Pair]) -> None:
        outcome = deliver(pairs, self.collected)
        if isinstance(outcome, Failed):
            # In a broken transaction one that ran before may be to blame.
            raise Undone(outcome, blamed=pairs[0] if len(pairs) == 1 and not outcome.is_broken else None)
        self._note(outcome)

    def _note(self, done: Done) -> None:
        """Handlers that need no database may keep it waiting for long, all together."""
        self.done.append(done)
        self._unlooked_ms += done.ms
        self._taken_ms += done.ms
        if self._taken_ms > _TRANSACTION_MOST_MS and not self.is_alone:
            raise Undone(Failed(TooSlow(f"{self._taken_ms / 1000:.0f} s in handlers"), undoes_all=True))
        if self._unlooked_ms > LOOK_AFTER_MS:
            store.check_session()
            self._unlooked_ms = 0.0

    def _run_one_by_one(self, pairs: Iterable[Pair], known: Known) -> None:
        for pair in pairs:
            if self._passes_by(pair, known):
                continue
            outcome = make([pair], self.collected, is_alone=self.is_alone)
            if isinstance(outcome, Done):
                self._note(outcome)
            else:
                self._fail(pair, outcome)

    def _run_halving(self, pairs: Sequence[Pair], known: Known) -> None:
        free = self._free(pairs)
        if len(free) < 2:  # noqa: PLR2004 - no more to halve
            self._run_one_by_one(free, known)
            return
        outcome = None if any(pair.id in known for pair in free) else make(free, self.collected, is_alone=False)
        if isinstance(outcome, Done):
            self._note(outcome)
            return
        half = len(free) // 2
        self._run_halving(free[:half], known)
        self._run_halving(free[half:], known)

    def _free(self, pairs: Sequence[Pair]) -> Sequence[Pair]:
        """Those that nothing is before; the others are noted."""
        if not self.blocked:
            return pairs
        self.behind += [pair for pair in pairs if pair.queue in self.blocked]
        return [pair for pair in pairs if pair.queue not in self.blocked]

    def _fail(self, pair: Pair, failed: Failed) -> None:
        self.failed.append((pair, failed))
        policy = pair.route.retry
        if not (policy.after_death == "continue" and is_last(failed, attempt=1, policy=policy)):
            self.blocked.add(pair.queue)


class _Mark:
    """How far the deliveries were at a savepoint."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._collected = len(deliveries.collected)
        self._lengths = len(deliveries.done), len(deliveries.failed), len(deliveries.behind)
        self._blocked = set(deliveries.blocked)

    def restore(self, deliveries: Deliveries) -> None:
        """Forget what came after."""
        done, failed, behind = self._lengths
        deliveries.collected.forget_from(self._collected)
        del deliveries.done[done:], deliveries.failed[failed:], deliveries.behind[behind:]
        deliveries.blocked = self._blocked


def _calls(pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
    """One call a pair, in order; then one call for all pairs of a handler that takes batches."""
    batches: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        if pair.route.is_batch:
            batches[pair.route.name].append(pair)
        else:
            yield (pair,)
    yield from batches.values()
