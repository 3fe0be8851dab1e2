"""What the relay tells of acknowledged records: metrics of all, a line of each while there are few.

`pipeline` calls it with what Kafka acknowledged since the last time. A line a record at full speed would cost as much
as the sending.
"""

import time
from collections import defaultdict
from collections.abc import Sequence

from events import observe
from events.kafka import Acknowledged
from events.outbox.store import Pending
from events.trace import following

_FEW = 20


def tell_published(acknowledged: Sequence[tuple[Pending, Acknowledged]]) -> None:
    """Each under the trace of the change that published it, or all in one line."""
    _count(acknowledged)
    if len(acknowledged) > _FEW:
        observe.record_published_many(records=len(acknowledged))
        return
    for record, at in acknowledged:
        with following(record.traceparent):
            observe.record_published(
                topic=record.topic, event_id=record.event_id, partition=at.partition, offset=at.offset
            )


def _count(acknowledged: Sequence[tuple[Pending, Acknowledged]]) -> None:
    now = time.time()
    seconds: dict[str, list[float]] = defaultdict(list)
    for record, _ in acknowledged:
        seconds[record.topic].append(now - record.created_at)
    for topic, taken in seconds.items():
        observe.record_acknowledged(topic=topic, seconds=taken)
