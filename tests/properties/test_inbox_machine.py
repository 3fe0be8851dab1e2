"""Events, repeats, failures, retries, revocations and an operator in any order: the inbox's books stay right.

After each step: one effect a pair, in order within key and handler; what is settled is done, parked or discarded; and
what waits, waits behind something. In the end, when all is mended and replayed, each effect is there once.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

import pytest
from django.db import connection
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)  # fmt: skip

from events.inbox import batch, dead_letters, retention, retries
from events.inbox.batch import Progress
from events.kafka import Record
from tests.integration.batching import LIMIT_S, make_due
from tests.integration.counting import TABLE
from tests.integration.raw_records import Raw
from tests.properties.faulty_handlers import HANDLERS, LATE, OUTAGES, OWN_FAULTS, FaultyHandlers, Pair
from tests.properties.inbox_books import Books, Parked, judge_none_is_due, time_of
from tests.properties.inbox_members import KEYS, PARTITIONS, Commit, Log, Member, interleaved, two_members
from tests.properties.machines import run_machine

One = TypeVar("One")

pytestmark = pytest.mark.django_db(transaction=True)

COMMITS = st.sampled_from(["well"] * 6 + ["lost", "unheard"])
FAULT = st.sampled_from([*OWN_FAULTS] * 3 + [*OUTAGES])
HANDLER = st.sampled_from(HANDLERS)
ANY = st.integers(0, 99)  # which one of those that there are, counted round and round
EVENTS: dict[str, Any] = {
    "names": st.lists(st.sampled_from([*KEYS, "ann", "ann"]), min_size=1, max_size=6),
    "faults": st.lists(st.tuples(ANY, HANDLER, FAULT), min_size=1, max_size=4),
}
EVERYTHING = 1_000
LONG_AGO = "update events_inbox set received_at = received_at - interval '9 days'"


class InboxMachine(RuleBasedStateMachine):
    """One example."""

    members: ClassVar[Sequence[Member]]

    def __init__(self) -> None:
        super().__init__()
        self._books = Books()
        self._log = Log()
        self._handlers = FaultyHandlers()
        self._owner = 0
        self._positions = dict.fromkeys(PARTITIONS, 0)
        self._committed = dict.fromkeys(PARTITIONS, 0)

    # What comes ---------------------------------------------------------------------------------------------

    @initialize(**EVENTS)
    def begins(self, names: list[str], faults: list[tuple[int, str, str]]) -> None:
        self.events_come(names, faults)

    @rule(**EVENTS)
    def events_come(self, names: list[str], faults: list[tuple[int, str, str]]) -> None:
        sent = [self._books.send(name) for name in names]
        for one in sent:
            self._log.append_event(*one)
        for which, handler, fault in faults:
            self._break(Pair(handler, nth(sent, which).event_id), fault)

    @precondition(lambda self: self._books.sent)
    @rule(which=ANY)
    def one_comes_again(self, which: int) -> None:
        self._log.append_event(*nth(self._books.sent, which))

    @rule(name=st.sampled_from(sorted(KEYS)))
    def one_comes_that_nobody_can_read(self, name: str) -> None:
        self._log.append(name, Raw(name.encode()))

    # What fails ---------------------------------------------------------------------------------------------

    @rule(which=ANY, fault=FAULT)
    def breaks(self, which: int, fault: str) -> None:
        pairs = self._books.open_pairs()
        if pairs:
            self._break(nth(pairs, which), fault)

    @precondition(lambda self: self._handlers.faults)
    @rule(which=ANY, is_every=st.booleans())
    def is_mended(self, which: int, *, is_every: bool) -> None:
        faults = sorted(self._handlers.faults)
        for pair in faults if is_every else [nth(faults, which)]:
            del self._handlers.faults[pair]

    # What the group does ------------------------------------------------------------------------------------

    @precondition(lambda self: self._is_some_unread())
    @rule(most=st.integers(1, 8), carefully=st.booleans(), commit=COMMITS)
    def owner_polls(self, most: int, commit: Commit, *, carefully: bool) -> None:
        may_be_away = commit != "well" or self._has_outage()
        polled, work = self._poll(most, carefully=carefully)
        progress = self.members[self._owner].run(work, commit=commit)
        self._note(polled, progress)
        assert progress.unsettled == {} or progress.away
        assert progress.away is None or may_be_away
        if progress.away and commit != "unheard" and not progress.settled:
            before = self._books.parked
            self._books.look()
            assert [one.id for one in self._books.parked] == [one.id for one in before]

    @precondition(lambda self: self._books.is_some_alive)
    @rule(by=st.sampled_from([0, 1]), commit=COMMITS)
    def all_is_retried(self, by: int, commit: Commit) -> None:
        may_be_away = commit != "well" or self._has_outage()
        make_due()
        away = self.members[by].run(self._retry, commit=commit)
        assert away is None or may_be_away
        if away is None:
            self._books.look()
            judge_none_is_due(self._books.parked)

    @precondition(lambda self: self._is_some_read())
    @rule()
    def offsets_are_committed(self) -> None:
        self._committed = dict(self._positions)

    @precondition(lambda self: self._is_some_read())
    @rule()
    def partitions_go_to_the_other(self) -> None:
        self._owner = 1 - self._owner
        self._positions = dict(self._committed)

    @precondition(lambda self: self._is_some_read())
    @rule()
    def offsets_are_reset(self) -> None:
        self._positions = dict.fromkeys(PARTITIONS, 0)
        self._committed = dict(self._positions)

    @precondition(lambda self: self._is_some_unread())
    @rule(most=st.integers(1, 6), carefully=st.booleans())
    def one_polls_what_the_other_has_in_hand(self, most: int, *, carefully: bool) -> None:
        """Its partitions were lost, and it does not know yet."""
        before = self._poll(most, carefully=carefully)
        old = self.members[self._owner]
        self.partitions_go_to_the_other()
        after = self._poll(most + 2, carefully=carefully)
        gone, progress = interleaved((old, before[1]), (self.members[self._owner], after[1]))
        self._books.note_settled(before[0], gone.settled)
        self._note(after[0], progress)

    @precondition(lambda self: self._books.is_some_alive)
    @rule(is_poll_first=st.booleans(), is_well=st.booleans())
    def one_polls_while_the_other_retries(self, *, is_poll_first: bool, is_well: bool) -> None:
        if is_well:
            self._handlers.faults.clear()
        self._more_come_of(self._books.parked)
        make_due()
        polled, work = self._poll(EVERYTHING)
        both = [(self.members[self._owner], work), (self.members[1 - self._owner], self._retry)]
        step = 1 if is_poll_first else -1
        self._note(polled, interleaved(*both[::step])[::step][0])

    @precondition(lambda self: self._books.parked)
    @rule(is_well=st.booleans())
    def both_retry(self, *, is_well: bool) -> None:
        """The dead, too."""
        if is_well:
            self._handlers.faults.clear()
        self._replay(self._books.letters())
        make_due()
        interleaved(*((member, self._retry) for member in self.members))

    # What operators do ----------------------------------------------------------------------------------------

    @precondition(lambda self: self._books.letters())
    @rule(which=ANY, is_every=st.booleans())
    def letters_are_replayed(self, which: int, *, is_every: bool) -> None:
        self._replay(self._choose(which, is_every=is_every))

    @precondition(lambda self: self._books.letters())
    @rule(which=ANY)
    def a_letter_is_discarded(self, which: int) -> None:
        self._discard(self._choose(which))

    @precondition(lambda self: self._books.letters())
    @rule(which=ANY, is_kept=st.booleans())
    def a_letter_is_replayed_or_discarded_while_one_polls(self, which: int, *, is_kept: bool) -> None:
        chosen = self._choose(which)
        self._more_come_of(chosen)
        polled, work = self._poll(EVERYTHING)
        act = partial(self._replay if is_kept else self._discard, chosen)
        progress, _ = interleaved((self.members[self._owner], work), (self.members[1 - self._owner], act))
        self._note(polled, progress)

    @precondition(lambda self: self._is_some_read())
    @rule(which=ANY)
    def the_inbox_is_pruned(self, which: int) -> None:
        """Up to some event before the first that is not settled."""
        every = self._books.sent
        open_ = next((at for at, one in enumerate(every) if one.event_id not in self._books.settled), len(every))
        with connection.cursor() as cursor:
            cursor.execute(LONG_AGO)
        retention.prune(before=time_of(which % (open_ + 1)))

    # ------------------------------------------------------------------------------------------------------------

    @invariant()
    def books_are_right(self) -> None:
        self._books.look()
        self._books.judge()

    def teardown(self) -> None:
        self._handlers.faults.clear()
        self.partitions_go_to_the_other()
        while self._is_some_unread():
            self.owner_polls(EVERYTHING, "well", carefully=False)
        self._books.look()
        self._replay([one for one in self._books.letters() if one.handler])
        self.all_is_retried(0, "well")
        self._books.judge_end()

    def _more_come_of(self, parked: Sequence[Parked]) -> None:
        self.events_come(sorted({one.key for one in parked}), [])

    def _poll(self, most: int, *, carefully: bool = False) -> tuple[list[Record], Callable[[], Progress]]:
        polled = self._log.cut(self._positions, most)
        return polled, partial(batch.handle, polled, self._handlers.group, carefully=carefully)

    def _retry(self) -> Any:
        return retries.retry_due(self._handlers.group, within_s=LIMIT_S)

    def _note(self, polled: Sequence[Record], progress: Progress) -> None:
        for (_, partition), offset in (progress.settled | progress.unsettled).items():
            self._positions[partition] = offset
        self._books.note_settled(polled, progress.settled)

    def _break(self, pair: Pair, fault: str) -> None:
        self._handlers.faults[pair] = fault
        if fault in OWN_FAULTS:
            self._books.guilty.add(pair)

    def _is_some_unread(self) -> bool:
        return not self._log.is_end(self._positions)

    def _is_some_read(self) -> bool:
        return self._positions != self._committed or any(self._committed.values())

    def _has_outage(self) -> bool:
        return not OUTAGES.keys().isdisjoint(self._handlers.faults.values())

    def _choose(self, which: int, *, is_every: bool = False) -> list[Parked]:
        letters = self._books.letters()
        return letters if is_every else [nth(letters, which)]

    def _replay(self, letters: Sequence[Parked]) -> None:
        dead_letters.replay([one.id for one in letters])

    def _discard(self, letters: Sequence[Parked]) -> None:
        dead_letters.discard([one.id for one in letters], routes=self._handlers.group.routes)
        self._books.note_discarded(letters)


def nth(every: Sequence[One], which: int) -> One:
    return every[which % len(every)]


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sequence[Member]]:
    # So that small batches have several.
    monkeypatch.setattr("events.inbox.deliveries._PAIRS_A_SAVEPOINT", 5)
    with two_members() as both, connection.cursor() as cursor:
        cursor.execute(TABLE + ";" + LATE)
        yield both
        cursor.execute("drop table effects, late")


def test_every_effect_comes_once_and_in_order_whatever_happens(members: Sequence[Member]) -> None:
    machine = type("InboxMachine", (InboxMachine,), {"members": members})
    run_machine(machine, examples=35, steps=30)
