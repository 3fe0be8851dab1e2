"""What the tables say after each step, and the rules that it must keep: a model by hand, which asks no code of ours.

In order within a key and handler; once a pair; nothing lost; nothing that waits for nobody; the guilty alone at fault.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from events.kafka import Place, Record
from events.outbox.store import decode_headers
from tests.properties.faulty_handlers import ATTEMPTS_MOST, GOING_ON, HANDLERS, WAITING, Pair

_PARKED = """
select id, handler, event_id, convert_from(key, 'utf8'), attempts, next_attempt_at,
    coalesce(next_attempt_at <= clock_timestamp(), false), dead_at, reason, partition, "offset"
from events_parked order by id
"""
_EFFECTS = "select handler, event_id, name, n from effects order by id"
_PUBLISHED = (
    "select key, convert_from(value, 'utf8')::json ->> 'n' from events_outbox where type = 'test.noted' order by id"
)
_COPIES = "select headers from events_outbox where topic = 'user.events.dlq'"
_EMPTY = """
delete from effects; delete from events_parked; delete from events_inbox; delete from events_outbox;
delete from events_inbox_horizon
"""


# So long ago that the inbox may have forgotten them.
_FIRST_AT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=5)


class Sent(NamedTuple):
    """The `n`th event of a name, from 0."""

    name: str
    n: int
    event_id: UUID


class Parked(NamedTuple):
    """A row of the table."""

    id: int
    handler: str
    event_id: UUID
    key: str
    attempts: int
    next_attempt_at: datetime | None
    is_due: bool
    dead_at: datetime | None
    reason: str
    partition: int
    offset: int

    @property
    def pair(self) -> Pair:
        return Pair(self.handler, self.event_id)

    @property
    def at(self) -> tuple[int, int]:
        return self.partition, self.offset

    @property
    def is_unreadable(self) -> bool:
        return self.reason.startswith("unreadable")


class Books:
    """What was sent, what the operator gave up, who was told to fail; and the tables, read by `look`."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.settled: set[UUID] = set()
        self.settled_junk: set[tuple[int, int]] = set()
        self.discarded: set[Pair] = set()
        self.discarded_junk: set[tuple[int, int]] = set()
        self.guilty: set[Pair] = set()
        self.parked: list[Parked] = []
        self._effects: list[tuple[str, UUID, str, int]] = []
        self._published: list[tuple[str, str]] = []
        self._copies: list[tuple[memoryview]] = []
        self._deaths: dict[Pair, set[datetime]] = defaultdict(set)
        # At the last step's end.
        self._had_effect: set[Pair] = set()
        self._was_alive: dict[Pair, int] = {}  # and how often it had died
        with connection.cursor() as cursor:
            cursor.execute(_EMPTY)

    def send(self, name: str) -> Sent:
        n = sum(one.name == name for one in self.sent)
        self.sent.append(Sent(name, n, _id_at(time_of(len(self.sent)))))
        return self.sent[-1]

    def look(self) -> None:
        parked, self._effects, self._published, self._copies = _looked_up(_PARKED, _EFFECTS, _PUBLISHED, _COPIES)
        self.parked = [Parked(*row) for row in parked]
        for one in self.parked:
            if one.dead_at:
                self._deaths[one.pair].add(one.dead_at)

    def open_pairs(self) -> list[Pair]:
        """Those that have no effect yet, and are to have one."""
        over = self._have_effect() | self.discarded
        pairs = [Pair(handler, one.event_id) for one in self.sent for handler in HANDLERS]
        return [pair for pair in pairs if pair not in over]

    @property
    def is_some_alive(self) -> bool:
        return any(not one.dead_at for one in self.parked)

    def letters(self) -> list[Parked]:
        """Dead letters, but for events that come again and were handled once: those an operator discards."""
        return [one for one in self.parked if one.dead_at and not one.reason.startswith("older-than-inbox")]

    def note_settled(self, polled: Iterable[Record], settled: Mapping[Place, int]) -> None:
        for one in polled:
            if one.offset < settled.get((one.topic, one.partition), 0):
                event_id = dict(one.headers).get("ce_id")
                if event_id:
                    self.settled.add(UUID(event_id.decode()))
                else:
                    self.settled_junk.add((one.partition, one.offset))

    def note_discarded(self, letters: Iterable[Parked]) -> None:
        for one in letters:
            if one.handler:
                self.discarded.add(one.pair)
            elif one.is_unreadable:
                self.discarded_junk.add(one.at)

    # The rules ------------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """After each step."""
        self._judge_once()
        for name in {one.name for one in self.sent}:
            for handler in WAITING:
                self._judge_order(handler, name)
            self._judge_overtaking(name)
        self._judge_nothing_lost()
        for queue, rows in _queues(self.parked).items():
            _judge_queue(queue[0], rows)
        self._judge_blame()
        self._judge_published()
        self._judge_copies()
        self._had_effect = self._have_effect()
        self._was_alive = {one.pair: len(self._deaths[one.pair]) for one in self.parked if not one.dead_at}

    def judge_end(self) -> None:
        """After everything was mended, polled and replayed."""
        self.judge()
        assert self.open_pairs() == []
        assert [one for one in self.parked if one.handler] == []
        assert self.settled.issuperset(one.event_id for one in self.sent)

    def _judge_once(self) -> None:
        counted = Counter(Pair(handler, event_id) for handler, event_id, _, _ in self._effects)
        assert {pair: count for pair, count in counted.items() if count > 1} == {}
        assert counted.keys() & {one.pair for one in self.parked} == set()
        assert counted.keys() & self.discarded == set()

    def _judge_order(self, handler: str, name: str) -> None:
        effects = self._numbers(handler, name)
        expected = [
            one.n for one in self.sent if one.name == name and Pair(handler, one.event_id) not in self.discarded
        ]  # fmt: skip
        assert effects == expected[: len(effects)], (handler, name)

    def _judge_overtaking(self, name: str) -> None:
        """Nobody but the dead, and not while they are tried again."""
        effects = self._numbers(GOING_ON, name)
        pairs = {one.n: Pair(GOING_ON, one.event_id) for one in self.sent if one.name == name}
        kept_alive = {pair for pair, deaths in self._was_alive.items() if len(self._deaths[pair]) == deaths}
        for place, n in enumerate(effects):
            overtaken = {pairs[m] for m in range(n) if m not in effects[:place]}
            assert all(self._deaths[pair] for pair in overtaken), (name, n)
            assert pairs[n] in self._had_effect or overtaken.isdisjoint(kept_alive), (name, n)

    def _judge_nothing_lost(self) -> None:
        parked = {one.pair for one in self.parked}
        lost = [pair for pair in self.open_pairs() if pair.event_id in self.settled and pair not in parked]
        assert lost == []
        junk = Counter(one.at for one in self.parked if one.is_unreadable)
        assert self.settled_junk - self.discarded_junk <= junk.keys()
        assert max(junk.values(), default=1) == 1

    def _judge_blame(self) -> None:
        for one in self.parked:
            if one.handler:
                assert one.attempts == 0 or one.pair in self.guilty, one
                assert one.attempts <= ATTEMPTS_MOST, one

    def _judge_published(self) -> None:
        """What a delivery published is there when its effect is, in the same order."""
        published: dict[str, list[int]] = defaultdict(list)
        for key, n in self._published:
            published[key].append(int(n))
        for name in {one.name for one in self.sent}:
            assert published[name] == self._numbers("publishing", name), name

    def _judge_copies(self) -> None:
        copies: Counter[Pair] = Counter()
        for (headers,) in self._copies:
            told = dict(decode_headers(bytes(headers)))
            copies[Pair(told["dlq_handler"].decode(), UUID(told["dlq_event_id"].decode()))] += 1
        of_handlers = {pair: count for pair, count in copies.items() if pair.handler}
        assert of_handlers == {pair: len(deaths) for pair, deaths in self._deaths.items() if pair.handler and deaths}
        assert {one.pair for one in self.parked if not one.handler} <= copies.keys()

    def _have_effect(self) -> set[Pair]:
        return {Pair(handler, event_id) for handler, event_id, _, _ in self._effects}

    def _numbers(self, handler: str, name: str) -> list[int]:
        return [n for of, _, called, n in self._effects if (of, called) == (handler, name)]


def time_of(place: int) -> datetime:
    """When the event of that place among all was made."""
    return _FIRST_AT + timedelta(seconds=place)


def _id_at(time: datetime) -> UUID:
    """A UUID of version 7 (RFC 9562), one a millisecond."""
    return UUID(int=round(time.timestamp() * 1000) << 80 | 7 << 76 | 0b10 << 62)


def judge_none_is_due(parked: Sequence[Parked]) -> None:
    """After a round of retries: of each key and handler the first was tried."""
    for queue, rows in _queues(parked).items():
        alive = [one for one in rows if not one.dead_at]
        assert not (alive and alive[0].is_due and (queue[0] == GOING_ON or alive[0] is rows[0])), alive[0]


def _judge_queue(handler: str, rows: Sequence[Parked]) -> None:
    """The first has a time or is dead; the others wait behind it, and be it the first that is not dead."""
    for one in rows:
        assert not (one.next_attempt_at and one.dead_at), one
    if handler == GOING_ON:
        alive = [one for one in rows if not one.dead_at]
        assert not alive or alive[0].next_attempt_at, alive
        return
    assert rows[0].next_attempt_at or rows[0].dead_at, rows
    assert not any(one.next_attempt_at or one.dead_at for one in rows[1:]), rows


def _queues(parked: Iterable[Parked]) -> dict[tuple[str, str], list[Parked]]:
    queues: dict[tuple[str, str], list[Parked]] = defaultdict(list)
    for one in parked:
        if one.handler:
            queues[one.handler, one.key].append(one)
    return queues


def _looked_up(*statements: str) -> list[list[Any]]:
    """The rows of each, all brought in one go."""
    with connection.cursor() as cursor:
        cursor.execute(";".join(statements))
        results = [cursor.fetchall()]
        while cursor.nextset():
            results.append(cursor.fetchall())
    return results
