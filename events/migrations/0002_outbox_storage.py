from django.db import migrations

# Half-empty pages let a mark stay on its page; vacuum by count, since the table's size says nothing of its churn.
STORAGE = """
alter table events_outbox set (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0.02
)
"""
RESET = """
alter table events_outbox reset (
    fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_insert_scale_factor
)
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [migrations.RunSQL(STORAGE, RESET)]
