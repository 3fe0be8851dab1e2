"""The tables of this app: columns and constraints, no behaviour.

`outbox.store`, `outbox.operator_store`, `outbox.partitions`, `inbox.store` and `inbox.operator_store` hold every
statement that writes them; the commands, the admin, `doctor`, `history` and `testing` read on their own.
"""

from uuid import UUID

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q
from django.db.models.functions import Now

# A UUID of version 7 from the year 2100: no event's id lies above, and nearly all UUIDs of version 5 do.
TIMELESS_FROM = UUID("03bb2cc3-d800-7000-8000-000000000000")


class CurrentTransaction(models.Func):
    """PostgreSQL's number of the transaction in hand, which is taken by asking for it."""

    function = "pg_current_xact_id"
    template = "%(function)s()"


class TransactionIdField(models.TextField):  # type: ignore[type-arg]  # generic for type checkers alone
    """An `xid8`: the 64-bit number of the transaction that wrote the row; read as text."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """The column's type in PostgreSQL."""
        return "xid8"


class ClockTime(models.Func):
    """The wall clock at this very statement, not at the transaction's start."""

    function = "clock_timestamp"
    template = "%(function)s()"
    output_field = models.DateTimeField()


class OutboxRecord(models.Model):
    """One event that a transaction owes to Kafka: pending, then published, or dead.

    `xid` is the first column on purpose: its default runs before `id` draws its number, so that every id is drawn
    by a transaction that already has one. `event_id` has no index: each index costs every mark.
    """

    xid = TransactionIdField(db_default=CurrentTransaction(), editable=False)
    id = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField()
    topic = models.TextField()
    key = models.TextField()
    shard = models.SmallIntegerField()
    stream = models.TextField(null=True)  # noqa: DJ001 - null: the event announces no row
    version = models.BigIntegerField(null=True)
    type = models.TextField()
    headers = models.BinaryField()
    value = models.BinaryField()
    created_at = models.DateTimeField(db_default=ClockTime())
    published_at = models.DateTimeField(null=True)
    partition = models.IntegerField(null=True)
    offset = models.BigIntegerField(null=True)
    dead_at = models.DateTimeField(null=True)
    attempts = models.SmallIntegerField(db_default=0)
    next_attempt_at = models.DateTimeField(null=True)
    error = models.TextField(db_default="")
    requeue_of = models.BigIntegerField(null=True)

    class Meta:
        db_table = "events_outbox"
        constraints = [
            models.CheckConstraint(name="events_outbox_shard", condition=Q(shard__range=(0, 63))),
            models.CheckConstraint(
                name="events_outbox_stream_version",
                condition=Q(stream__isnull=True, version__isnull=True) | Q(stream__isnull=False, version__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                name="events_outbox_pending",
                fields=["id"],
                condition=Q(published_at__isnull=True, dead_at__isnull=True),
            ),
            models.Index(name="events_outbox_dead", fields=["id"], condition=Q(dead_at__isnull=False)),
            models.Index(name="events_outbox_key", fields=["key", "version"]),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class InboxRecord(models.Model):
    """This event was received by this group, and each of its deliveries is done or parked."""

    pk = models.CompositePrimaryKey("group", "event_id")
    group = models.TextField()
    event_id = models.UUIDField()
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "events_inbox"
        indexes = [
            # Records that could not be read have no time in their ids: pruning finds them here.
            models.Index(
                name="events_inbox_timeless",
                fields=["group", "received_at"],
                condition=Q(event_id__gte=TIMELESS_FROM),
            )
        ]

    def __str__(self) -> str:
        return f"{self.group} {self.event_id}"


class InboxHorizon(models.Model):
    """How far back a group's inbox reaches: events older than `before` may have been pruned from it."""

    group = models.TextField(primary_key=True)
    before = models.DateTimeField()

    class Meta:
        db_table = "events_inbox_horizon"

    def __str__(self) -> str:
        return f"{self.group} {self.before}"


class ParkedDelivery(models.Model):
    """A delivery set aside, with its envelope whole; a dead letter is one with `dead_at`.

    The lowest id of a group's key and handler is the head, with a `next_attempt_at`; the others wait behind
    it, without. What concerns a whole record (it cannot be read, say) has no handler (empty) and may lack key and
    value.
    `event_id` is the event's, or an identity derived from the record's place. `recorded_at` is Kafka's own time.
    """

    id = models.BigAutoField(primary_key=True)
    group = models.TextField()
    handler = models.TextField()
    event_id = models.UUIDField()
    type = models.TextField()
    topic = models.TextField()
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    recorded_at = models.DateTimeField()
    key = models.BinaryField(null=True)
    headers = models.BinaryField()
    value = models.BinaryField(null=True)
    reason = models.TextField()
    error = models.TextField(db_default="")
    attempts = models.SmallIntegerField(db_default=0)
    parked_at = models.DateTimeField(db_default=ClockTime())
    next_attempt_at = models.DateTimeField(null=True)
    dead_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "events_parked"
        verbose_name_plural = "parked deliveries"
        constraints = [models.UniqueConstraint(name="events_parked_once", fields=["group", "handler", "event_id"])]
        indexes = [
            # Of whole records the key may be anything, and longer than an index takes.
            models.Index(name="events_parked_key", fields=["group", "key", "handler", "id"], condition=~Q(handler="")),
            models.Index(
                name="events_parked_due",
                fields=["group", "next_attempt_at"],
                condition=Q(next_attempt_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}: {self.reason}"


class TopicPartitions(models.Model):
    """How many partitions of a topic the relays spread keys over: pinned, whatever the broker has.

    While `paused_at` is set nothing is sent to the topic: a `kafka topics grow` is under way, or ended half-way. Each
    run writes its own time there, by which it knows that no other has taken over.
    """

    topic = models.TextField(primary_key=True)
    partitions = models.IntegerField()
    paused_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "events_topic_partitions"
        constraints = [models.CheckConstraint(name="events_topic_partitions_some", condition=Q(partitions__gte=1))]

    def __str__(self) -> str:
        return f"{self.topic}: {self.partitions}"
