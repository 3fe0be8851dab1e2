from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0002_outbox_storage")]

    operations = [
        migrations.CreateModel(
            name="TopicPartitions",
            fields=[
                ("topic", models.TextField(primary_key=True, serialize=False)),
                ("partitions", models.IntegerField()),
                ("paused_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "events_topic_partitions",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("partitions__gte", 1)), name="events_topic_partitions_some"
                    )
                ],
            },
        ),
    ]
