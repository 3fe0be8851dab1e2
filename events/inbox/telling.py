"""What is told of a batch once it has committed: metrics of all, a line of each delivery while there are few.

`batch` and `retries` call it with what their transaction did. A line a delivery at full speed would cost as much as
the handlers.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from django.utils import timezone

from events import observe
from events.envelope import traceparent_of
from events.inbox import store
from events.inbox.deliveries import Deliveries
from events.inbox.delivery import Done, Failed
from events.inbox.opening import Incoming, Opened, Unknown
from events.kafka import Record
from events.models import ParkedDelivery
from events.trace import following

_FEW = 20


def tell(opened: Sequence[Opened], deliveries: Deliveries) -> None:
    """Everything of one batch."""
    _tell_settled(opened)
    tell_deliveries(deliveries)


def tell_deliveries(deliveries: Deliveries, *, is_retry: bool = False) -> None:
    """What was made, and what was parked."""
    _tell_done(deliveries.done)
    for pair, failed in deliveries.failed:
        with following(pair.incoming.trace):
            observe.record_delivery_failed(
                failed.error, of=(pair.incoming.record.topic, pair.incoming.received.type),
                event_id=pair.incoming.received.id, handler=pair.route.name, is_retry=is_retry,
            )  # fmt: skip
    if deliveries.behind:
        observe.record_waiting_behind(deliveries=len(deliveries.behind))


def tell_retry_failed(parked: ParkedDelivery, failed: Failed) -> None:
    """A retry whose transaction is gone."""
    with following(traceparent_of(store.record_of(parked).headers)):
        observe.record_delivery_failed(
            failed.error, of=(parked.topic, parked.type or observe.UNKNOWN), event_id=parked.event_id,
            handler=parked.handler or observe.NO_HANDLER, is_retry=True,
        )  # fmt: skip


def _tell_settled(opened: Sequence[Opened]) -> None:
    recorded_ms: dict[str, list[int]] = defaultdict(list)
    for one in opened:
        recorded_ms[one.record.topic].append(one.record.timestamp_ms)
    _tell_skipped([one.record for one in opened if isinstance(one, Unknown)])
    settled = Counter(
        (one.record.topic, one.received.type if isinstance(one, Incoming) else observe.UNKNOWN) for one in opened
    )
    for (topic, event_type), records in settled.items():
        observe.record_settled(topic=topic, event_type=event_type, records=records)
    for topic, times_ms in recorded_ms.items():
        observe.record_handled_after(topic=topic, recorded_ms=times_ms)


def _tell_skipped(records: Sequence[Record]) -> None:
    if len(records) > _FEW:
        observe.record_skipped_many(records=len(records))
        return
    for record in records:
        observe.record_skipped(topic=record.topic, partition=record.partition, offset=record.offset)


def _tell_done(done: Sequence[Done]) -> None:
    deliveries = sum(len(one.pairs) for one in done)
    if deliveries > _FEW:
        observe.record_handled_many(deliveries=deliveries)
        return
    handled_at = timezone.now()
    for one in done:
        for pair in one.pairs:
            received = pair.incoming.received
            with following(pair.incoming.trace):
                observe.record_handled(
                    event_id=received.id, event_type=received.type, handler=pair.route.name, handled_at=handled_at,
                    ms=one.ms,
                )  # fmt: skip
