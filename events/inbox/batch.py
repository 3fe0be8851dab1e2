"""One batch of records in one transaction: inbox records, handlers' writes, what is parked, what is published.

`consumer` hands over what one poll brought and commits the offsets that come back as settled. In this order: the inbox
takes the ids in; what waits of the same keys is locked; handlers run; what failed is set aside; what was published is
written, sorted. Where a handler raises, all of it is undone and done again carefully, without that delivery. READ
COMMITTED throughout: a batch must see what another member has just committed. docs/decisions/parking.md.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction

from events import observe
from events.inbox import parking, store, telling
from events.inbox.deliveries import Deliveries, Known
from events.inbox.delivery import Away, Failed, Pair, PartAway, Undone, database_is_away
from events.inbox.group import Group
from events.inbox.opening import Incoming, Opened, Unknown, Unreadable, open_record
from events.inbox.trust import Unverifiable, sift
from events.kafka import Place, Record
from events.outbox.publish import Collected, TooManyKeys, collecting

_BATCH_MOST_S = 60.0  # a fifth of what the group waits for a member


@dataclass(slots=True)
class Progress:
    """How far a batch came: for each partition the next offset, or the one to take up again.

    `away` says which part was missing, if that is why something is unsettled. `had_failures`: some delivery was parked
    after it failed. `at_once`: how many records to begin the next one with.
    """

    settled: dict[Place, int] = field(default_factory=dict)
    unsettled: dict[Place, int] = field(default_factory=dict)
    away: Away | None = None
    had_failures: bool = False
    at_once: int = field(default=0, compare=False)

    def note(self, part: Sequence[Opened], outcome: Deliveries | Failed | Away | None) -> None:
        """What became of some records; None: there was no time for them."""
        if isinstance(outcome, Deliveries):
            self.had_failures |= bool(outcome.failed)
            self.settled |= {place_of(one): one.record.offset + 1 for one in part}
            return
        self.away = outcome if isinstance(outcome, Away) else self.away
        first = {place_of(one): one.record.offset for one in reversed(part)}
        self.unsettled = first | self.unsettled


def handle(
    records: Sequence[Record],
    group: Group,
    *,
    carefully: bool = False,
    at_once: int | None = None,
    goes_on: Callable[[], bool] = lambda: True,
) -> Progress:
    """Settle the records, which come partition by partition, in offset order.

    `carefully`: begin as after a failure, which is quicker where one is to be expected. `at_once`: how many in one
    transaction, to begin with; all by default. Where nobody is to blame for a failure, the smallest part that fails
    stays unsettled. `goes_on` is asked after each transaction.
    """
    opened = [open_record(record, group.routes, group.cluster) for record in records]
    progress = Progress(at_once=at_once or len(opened))
    began_with = progress.at_once
    until = time.monotonic() + _BATCH_MOST_S
    while opened and progress.away is None and time.monotonic() < until:
        part = opened[: progress.at_once]
        outcome = settle(part, group, carefully=carefully)
        if isinstance(outcome, Failed) and len(part) > 1:
            progress.at_once, carefully = len(part) // 2, True
            continue
        progress.note(part, outcome)
        opened = [one for one in opened[len(part) :] if place_of(one) not in progress.unsettled]
        if not goes_on():
            break
    progress.note(opened, progress.away)
    if progress.at_once >= began_with:
        progress.at_once += progress.at_once // 4 + 1
    return progress


def settle(opened: Sequence[Opened], group: Group, *, carefully: bool = False) -> Deliveries | Failed | Away:
    """All of them in one transaction, or none. Told to the log and the metrics once it has committed."""
    known: dict[tuple[str, UUID], Failed] = {}
    while True:
        outcome = _attempt(opened, group, known if carefully else None)
        if isinstance(outcome, Deliveries):
            telling.tell(opened, outcome)
        if not isinstance(outcome, Undone):
            return outcome
        if outcome.blamed:
            known[outcome.blamed.id] = outcome.failed
        elif outcome.failed.undoes_all and len(opened) > 1:
            observe.record_batch_split(records=len(opened), reason=type(outcome.failed.error).__name__)
            return outcome.failed
        elif carefully:
            return _nobody_to_blame(outcome.failed.error, opened)
        carefully = True


def deliver_new(
    events: Sequence[Incoming], group: Group, collected: Collected, *, known: Known | None, vouched: bool = False
) -> Deliveries:
    """Bring events that nobody has handled yet to their handlers, in the caller's transaction; park what fails.

    `known` are the deliveries that failed before; without it all are made at once. Raises Undone. `vouched`: an
    operator says that they are to be handled however old they are.
    """
    sifted = sift(events, group, vouched=vouched)
    waiting = store.waiting(group=group.name, keys={event.record.key or b"" for event in sifted.trusted})
    blocked = {queue for queue, is_dead in waiting if not (is_dead and queue[0] in group.routes.going_on)}
    deliveries = Deliveries(collected, blocked, is_alone=len(events) == 1)
    pairs = [Pair(event, route, n) for n, event in enumerate(sifted.trusted) for route in event.routes]
    if known is None and not sifted.unproven:
        deliveries.run_at_once(pairs)
    else:
        unproven = {pair.id: Failed(Unverifiable(group.source)) for pair in pairs if pair.route.only_ours
                    and pair.incoming.received.id in sifted.unproven}  # fmt: skip
        deliveries.run_carefully(pairs, {**(known or {}), **unproven})
    letters = [parking.refused_letter(event, reason) for event, reason in sifted.refused]
    parking.park([*parking.set_aside(deliveries), *letters], group)
    return deliveries


def place_of(opened: Opened) -> Place:
    """Topic and partition."""
    return opened.record.topic, opened.record.partition


def _attempt(opened: Sequence[Opened], group: Group, known: Known | None) -> Deliveries | Undone | Failed | Away:
    deliveries = None
    try:
        with transaction.atomic(durable=True), collecting() as collected:
            deliveries = _work(opened, group, collected, known)
    except Undone as undone:
        return undone
    except PartAway as away:
        return away.away
    except TooManyKeys as error:
        return Undone(Failed(error, undoes_all=True))
    except Exception as error:  # noqa: BLE001 - the border: the commit runs what handlers left for it, too
        if database_is_away(error):
            return Away("database", error)
        return _nobody_to_blame(error, opened) if deliveries else Undone(Failed(error))
    return deliveries


def _work(opened: Sequence[Opened], group: Group, collected: Collected, known: Known | None) -> Deliveries:
    arrived = _arrived(opened, group)
    deliveries = deliver_new([one for one in arrived if isinstance(one, Incoming)], group, collected, known=known)
    parking.park([parking.unreadable_letter(one) for one in arrived if isinstance(one, Unreadable)], group)
    collected.write()
    store.check_constraints()
    return deliveries


def _arrived(opened: Sequence[Opened], group: Group) -> list[Incoming | Unreadable]:
    """What is new to the inbox, in the order of the records; each where it stands first."""
    first: dict[UUID, Incoming | Unreadable] = {}
    for one in opened:
        if not isinstance(one, Unknown):
            first.setdefault(one.identity, one)
    new = store.receive(group=group.name, event_ids=first) if first else ()
    if len(new) == len(first):
        return list(first.values())
    return [one for identity, one in first.items() if identity in new]


def _nobody_to_blame(error: Exception, opened: Sequence[Opened]) -> Failed:
    first = opened[0].record
    observe.record_not_settled(
        error, topic=first.topic, partition=first.partition, offset=first.offset, records=len(opened)
    )
    return Failed(error)
