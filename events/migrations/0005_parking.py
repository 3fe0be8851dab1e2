import uuid

import events.models
from django.db import migrations, models

# Each dead letter from before gets an identity of its own.
ADD_IDENTITY = """
alter table events_parked add column event_id uuid not null default gen_random_uuid();
alter table events_parked alter column event_id drop default
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0004_dead_index")]

    operations = [
        migrations.CreateModel(
            name="InboxHorizon",
            fields=[
                ("group", models.TextField(primary_key=True, serialize=False)),
                ("before", models.DateTimeField()),
            ],
            options={"db_table": "events_inbox_horizon"},
        ),
        migrations.AddIndex(
            model_name="inboxrecord",
            index=models.Index(
                condition=models.Q(("event_id__gte", uuid.UUID("03bb2cc3-d800-7000-8000-000000000000"))),
                fields=["group", "received_at"],
                name="events_inbox_timeless",
            ),
        ),
        migrations.RunSQL(
            ADD_IDENTITY,
            "alter table events_parked drop column event_id",
            state_operations=[migrations.AddField("parkeddelivery", "event_id", models.UUIDField())],
        ),
        migrations.AddField("parkeddelivery", "type", models.TextField(default=""), preserve_default=False),
        migrations.AddField("parkeddelivery", "error", models.TextField(db_default="")),
        migrations.AddField("parkeddelivery", "attempts", models.SmallIntegerField(db_default=0)),
        migrations.AddField("parkeddelivery", "parked_at", models.DateTimeField(db_default=events.models.ClockTime())),
        migrations.AddField("parkeddelivery", "next_attempt_at", models.DateTimeField(null=True)),
        migrations.AlterModelOptions("parkeddelivery", options={"verbose_name_plural": "parked deliveries"}),
        migrations.RemoveConstraint("parkeddelivery", "events_parked_once"),
        migrations.AddConstraint(
            "parkeddelivery",
            models.UniqueConstraint(fields=("group", "handler", "event_id"), name="events_parked_once"),
        ),
        migrations.AddIndex(
            "parkeddelivery",
            models.Index(
                condition=models.Q(("handler", ""), _negated=True),
                fields=["group", "key", "handler", "id"],
                name="events_parked_key",
            ),
        ),
        migrations.AddIndex(
            "parkeddelivery",
            models.Index(
                condition=models.Q(("next_attempt_at__isnull", False)),
                fields=["group", "next_attempt_at"],
                name="events_parked_due",
            ),
        ),
    ]
