"""Every metric and every log line of this app; the rest of it calls the functions here.

A metric's labels come from closed sets: topics and types that are configured or known. Log lines carry ids, never
data, and `marker=kafka`.
"""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from prometheus_client import Counter, Gauge, Histogram

from events.wordless import wordless

_log = logging.getLogger("events")

PRODUCED = Counter("kafka_producer_messages_total", "Records that Kafka acknowledged.", ["topic"])
ACKNOWLEDGED_AFTER = Histogram(
    "outbox_acknowledged_seconds",
    "From publish() in its transaction to Kafka's acknowledgement.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)
PENDING = Gauge("outbox_pending_records", "Records not yet acknowledged, of all shards; counted up to 1,000,000.")
DEAD = Gauge("outbox_dead_records", "Records that Kafka refused to the last and nobody has requeued.")
OLDEST_PENDING = Gauge("outbox_oldest_pending_seconds", "The age of the oldest of them; 0 where there is none.")
PRODUCER_ERRORS = Counter(
    "kafka_producer_errors_total",
    "Sends that failed or were overdue, by the class of the error.",
    ["topic", "reason"],
)
CONSUMED = Counter(
    "kafka_consumer_messages_total",
    "Records read and settled: handled, seen before or skipped; type `unknown` for those not in the routes.",
    ["topic", "type"],
)
CONSUMER_ERRORS = Counter(
    "kafka_consumer_errors_total",
    "Deliveries that failed; handler `none`: a record could not be read or was refused, a batch was not settled with"
    " nobody to blame, or a position was out of range.",
    ["topic", "type", "handler"],
)
HANDLED_AFTER = Histogram(
    "kafka_consumer_handled_seconds",
    "From Kafka's time of a record to the commit that settled it, parked and skipped ones included; without those that"
    " have no time.",
    ["topic"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)
DEAD_LETTERS = Counter(
    "kafka_consumer_dead_letters_total",
    "Deliveries and records given up, by the first word of the reason.",
    ["topic", "reason"],
)
LAG = Gauge(
    "kafka_consumer_lag_records",
    "Records that lie behind what is settled, of each partition that this member has.",
    ["topic", "partition"],
)
SET_ASIDE = Gauge(
    "inbox_set_aside_deliveries",
    "Deliveries of the group that are set aside: `parked` until their next attempt, `waiting` behind another of their"
    " key, waiting `behind-dead` letters, or `dead`. Every member tells the same.",
    ["state"],
)
UNKNOWN = "unknown"
NO_HANDLER = "none"
_NAMED_MOST = 20


def record_probes_open(*, port: int) -> None:
    """The command answers probes on this port."""
    _write(logging.INFO, "probes open", port=port)


def record_password_shown() -> None:
    """KAFKA_ALLOW_INSECURE is in effect."""
    _write(logging.WARNING, "password goes to kafka unencrypted")


def record_acknowledged(*, topic: str, seconds: Sequence[float]) -> None:
    """Kafka acknowledged so many records of a topic, each so long after it was published."""
    PRODUCED.labels(topic).inc(len(seconds))
    for taken in seconds:
        ACKNOWLEDGED_AFTER.observe(taken)


def record_published(*, topic: str, event_id: UUID, partition: int, offset: int) -> None:
    """What Kafka acknowledged, one by one while there is little."""
    _write(logging.INFO, "published", topic=topic, event_id=str(event_id), partition=partition, offset=offset)


def record_published_many(*, records: int) -> None:
    """And many in one line, under no trace."""
    _write(logging.INFO, "published many", records=records)


def published_so_far() -> float:
    """How many records Kafka has acknowledged to this process."""
    return sum(
        sample.value for metric in PRODUCED.collect() for sample in metric.samples if sample.name.endswith("_total")
    )


def record_backlog(*, pending: int, oldest_s: float, dead: int) -> None:
    """How many records are pending, the oldest one's age or 0, and how many are dead and not requeued."""
    PENDING.set(pending)
    OLDEST_PENDING.set(oldest_s)
    DEAD.set(dead)


def record_send_failed(*, topic: str, reason: str, records: int) -> None:
    """So many sends failed or were overdue; the records stay pending."""
    PRODUCER_ERRORS.labels(topic, reason).inc(records)
    _write(logging.WARNING, "send failed", topic=topic, reason=reason, records=records)


def record_waiting(*, part: str, wait_s: float) -> None:
    """A part is away (`kafka`, `database`, or that of a handler, by its name); the loop tries again after `wait_s`."""
    _write(logging.WARNING, "waiting", part=part, wait_s=round(wait_s, 3))


def record_producer_replaced(*, reason: str) -> None:
    """The producer was ended for good and a new one takes its place."""
    _write(logging.WARNING, "producer replaced", reason=reason)


def record_owning(*, shards: int) -> None:
    """This relay owns so many of the 64 shards now; with 0 it stands by."""
    _write(logging.INFO, "relay owns", shards=shards)


def record_main_loop_hangs(*, unstamped_s: float, exit_code: int) -> None:
    """The relay's loop has not moved for so long; the process ends with this code, for its supervisor to start anew."""
    _write(logging.CRITICAL, "main loop hangs", unstamped_s=round(unstamped_s, 3), exit_code=exit_code)


def record_held_back(*, topic: str, event_id: UUID, attempt: int, wait_s: float) -> None:
    """The broker refused an outbox record; its key waits, the others go on."""
    _write(logging.WARNING, "held back", topic=topic, event_id=str(event_id), attempt=attempt, wait_s=round(wait_s, 3))


def record_record_dead(*, topic: str, event_id: UUID, reason: str) -> None:
    """An outbox record can never be sent and was set dead."""
    _write(logging.ERROR, "outbox record dead", topic=topic, event_id=str(event_id), reason=reason)


def record_requeued(*, ids: Sequence[int]) -> None:
    """Copies of these dead outbox records are pending; here and in the next two the first few are named."""
    _write(logging.INFO, "outbox records requeued", records=len(ids), ids=list(ids[:_NAMED_MOST]))


def record_pruned(*, records: int) -> None:
    """So many published outbox records were old enough to go."""
    _write(logging.INFO, "outbox pruned", records=records)


def record_inbox_pruned(*, records: int) -> None:
    """So many events were old enough to be forgotten."""
    _write(logging.INFO, "inbox pruned", records=records)


def record_settled(*, topic: str, event_type: str, records: int) -> None:
    """So many consumed records of a type are settled."""
    CONSUMED.labels(topic, event_type).inc(records)


def record_handled_after(*, topic: str, recorded_ms: Sequence[int]) -> None:
    """Records that Kafka had at these times (milliseconds since 1970; 0 or less is none) are settled now."""
    now = time.time()
    histogram = HANDLED_AFTER.labels(topic)
    for at_ms in recorded_ms:
        if at_ms > 0:
            histogram.observe(max(now - at_ms / 1000, 0))


def record_partitions(places: Collection[tuple[str, int]]) -> None:
    """This consumer has these partitions from now on, and no others."""
    _write(logging.INFO, "consumer owns", partitions=[f"{topic}/{number}" for topic, number in sorted(places)])


def record_lag(records: Mapping[tuple[str, int], int]) -> None:
    """So many records of each partition are not settled; those of no other are told any more."""
    labels = {(topic, str(number)): behind for (topic, number), behind in records.items()}
    before = [tuple(sample.labels.values()) for metric in LAG.collect() for sample in metric.samples]
    for told in before:
        if told not in labels:
            LAG.remove(*told)
    for told, behind in labels.items():
        LAG.labels(*told).set(behind)


def record_set_aside(*, dead: int, parked: int, waiting: int, behind_dead: int) -> None:
    """What is set aside in this group; `waiting` includes those behind dead letters."""
    states = {"dead": dead, "parked": parked, "waiting": waiting - behind_dead, "behind-dead": behind_dead}
    for state, deliveries in states.items():
        SET_ASIDE.labels(state).set(deliveries)


def record_round_hangs(*, stack: str, looks: int, exit_code: int) -> None:
    """The consumer's loop did not move for so many looks at it; the process ends. `stack` is where it stands."""
    _write(logging.CRITICAL, "consumer hangs", looks=looks, exit_code=exit_code, stack=stack)


def record_handled_many(*, deliveries: int) -> None:
    """So many deliveries' transaction has committed: in one line, under no trace."""
    _write(logging.INFO, "handled many", deliveries=deliveries)


def record_handled(*, event_id: UUID, event_type: str, handler: str, handled_at: datetime, ms: float) -> None:
    """One delivery's transaction has committed; `ms` is the handler's own time."""
    _write(
        logging.INFO, "handled", event_id=str(event_id), type=event_type, handler=handler,
        handled_at=handled_at.isoformat(), ms=round(ms, 3),
    )  # fmt: skip


def record_delivery_failed(
    error: Exception, *, of: tuple[str, str], event_id: UUID, handler: str, is_retry: bool = False
) -> None:
    """A handler raised, and its delivery is parked; `of` is the event's topic and type.

    Where it was raised goes along the first time; after a retry that is kept with the parked delivery alone.
    """
    topic, event_type = of
    CONSUMER_ERRORS.labels(topic, event_type, handler).inc()
    _write(
        logging.ERROR, "delivery failed", error=None if is_retry else error, event_id=str(event_id), type=event_type,
        handler=handler, reason=type(error).__name__,
    )  # fmt: skip


def record_batch_split(*, records: int, reason: str) -> None:
    """So many were too much for one transaction; the next one takes half."""
    _write(logging.INFO, "batch split", records=records, reason=reason)


def record_waiting_behind(*, deliveries: int) -> None:
    """So many deliveries wait behind others of their keys."""
    _write(logging.INFO, "waiting behind", deliveries=deliveries)


def record_dead_letter(at: tuple[str, int, int], *, event_id: UUID, event_type: str, handler: str, reason: str) -> None:
    """A delivery, or a whole record, became a dead letter; `at` is its topic, partition and offset.

    The metric's reason is the first word alone.
    """
    topic, partition, offset = at
    DEAD_LETTERS.labels(topic, reason.partition(":")[0]).inc()
    if not handler:
        CONSUMER_ERRORS.labels(topic, event_type or UNKNOWN, NO_HANDLER).inc()
    _write(
        logging.ERROR, "dead letter", topic=topic, partition=partition, offset=offset, event_id=str(event_id),
        handler=handler, reason=reason,
    )  # fmt: skip


def record_replayed(*, ids: Sequence[int]) -> None:
    """Somebody asked for these dead letters to be tried again."""
    _write(logging.INFO, "dead letters replayed", letters=len(ids), ids=list(ids[:_NAMED_MOST]))


def record_discarded(*, ids: Sequence[int]) -> None:
    """Somebody gave these dead letters up."""
    _write(logging.WARNING, "dead letters discarded", letters=len(ids), ids=list(ids[:_NAMED_MOST]))


def record_skipped(*, topic: str, partition: int, offset: int) -> None:
    """A type that this version does not know was skipped."""
    _write(logging.INFO, "unknown type skipped", topic=topic, partition=partition, offset=offset)


def record_skipped_many(*, records: int) -> None:
    """And many of one batch in one line."""
    _write(logging.INFO, "unknown types skipped", records=records)


def record_not_settled(error: Exception, *, topic: str, partition: int, offset: int, records: int) -> None:
    """No handler is to blame, yet `records`, this being the first, were not settled."""
    CONSUMER_ERRORS.labels(topic, UNKNOWN, NO_HANDLER).inc()
    _write(
        logging.ERROR, "not settled", error=error, topic=topic, partition=partition, offset=offset, records=records
    )  # fmt: skip


def record_out_of_range(*, topic: str, partition: int, offset: int) -> None:
    """The group's position was no longer in the log, so what lay there was never read; it starts at `offset`."""
    CONSUMER_ERRORS.labels(topic, UNKNOWN, NO_HANDLER).inc()
    _write(logging.ERROR, "position out of range", topic=topic, partition=partition, offset=offset)


def record_refused(*, reason: str, wait_s: float) -> None:
    """The brokers answer, but refuse this member something (permission, topic); it asks again after `wait_s`."""
    _write(logging.ERROR, "refused by kafka", reason=reason, wait_s=round(wait_s, 3))


def _write(level: int, event: str, *, error: Exception | None = None, **fields: Any) -> None:
    _log.log(level, event, extra={"marker": "kafka", **(wordless(error) if error else {}), **fields})
